//! What is asked for, what comes out, and one round of messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::frames::Frames;

#[derive(Deserialize, Clone, Copy, PartialEq)]
pub enum Scheme {
    #[serde(rename = "ecdsa-secp256k1")]
    EcdsaSecp256k1,
    #[serde(rename = "ed25519")]
    Ed25519,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Make a key: all parties.
    Dkg,
    /// Sign: exactly as many parties as the threshold says.
    Sign,
    /// Change every share and no key: all parties.
    Refresh,
    /// Give `target` a share of its place, by `threshold` others.
    Repair,
}

#[derive(Deserialize)]
pub struct Request {
    pub operation: Operation,
    pub scheme: Scheme,
    pub me: u8,
    pub threshold: u8,
    /// How many places there are, taken or not.
    pub count: u8,
    /// Who takes part, in ascending order.
    pub parties: Vec<u8>,
    /// Of a repair: whose place; 0 otherwise.
    pub target: u8,
    /// Names this run for ever, 32 bytes in hexadecimal.
    pub session: Hex,
    /// What this party has had from the run before, empty if nothing.
    pub share: Hex,
    /// What everybody knows of the key, empty before there is one.
    pub package: Hex,
    /// ECDSA: a digest of 32 bytes. Ed25519: the message itself.
    pub message: Hex,
    /// ECDSA: which key below the shared one signs, as BIP32 has it; empty for itself.
    pub path: String,
}

impl Request {
    pub fn check(&self) -> Result<(), Abort> {
        let ascending = self.parties.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = self.parties.iter().chain([&self.me]).all(|one| (1..=self.count).contains(one));
        if !ascending || !in_range || self.threshold < 2 || self.threshold > self.count {
            return Err(Abort::of_parent("the parties are not 1 to `count`, each once and in order"));
        }
        let wanted = match self.operation {
            Operation::Dkg | Operation::Refresh => usize::from(self.count),
            Operation::Sign => usize::from(self.threshold),
            Operation::Repair => usize::from(self.threshold) + 1,
        };
        if self.parties.len() != wanted {
            return Err(Abort::of_parent(format!("{wanted} parties take part, not {}", self.parties.len())));
        }
        if !self.parties.contains(&self.me) {
            return Err(Abort::of_parent("this party does not take part"));
        }
        let has_target = self.operation == Operation::Repair;
        if has_target != (self.target != 0) || (has_target && !self.parties.contains(&self.target)) {
            return Err(Abort::of_parent("a repair has a target, and nothing else has"));
        }
        if !self.path.is_empty() && (self.operation != Operation::Sign || self.scheme != Scheme::EcdsaSecp256k1)
        {
            return Err(Abort::of_parent("only a signature with ECDSA is of a key below the shared one"));
        }
        if self.session.0.len() != 32 {
            return Err(Abort::of_parent("a session's name has 32 bytes"));
        }
        Ok(())
    }

    pub fn others(&self) -> impl Iterator<Item = u8> + '_ {
        self.parties.iter().copied().filter(|one| *one != self.me)
    }
}

#[derive(Serialize, Default)]
pub struct Outcome {
    /// Compressed, hexadecimal.
    pub public_key: String,
    pub share: Hex,
    pub package: Hex,
    /// ECDSA: r and s of 32 bytes each, s in the lower half. Ed25519: as RFC 8032 has it.
    pub signature: Hex,
    /// ECDSA: which of the two points of r.
    pub recovery_id: u8,
    /// ECDSA: what keys below this one are derived with; no secret.
    pub chain_code: Hex,
}

#[derive(Serialize, Debug)]
pub struct Abort {
    pub reason: String,
    /// Whom the protocol names, 0 if nobody.
    pub culprit: u8,
    /// Whether this party may never run anything with the culprit again.
    pub is_banned: bool,
}

impl Abort {
    pub fn of_parent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), culprit: 0, is_banned: false }
    }

    pub fn by(culprit: u8, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), culprit, is_banned: false }
    }
}

/// Bytes, as hexadecimal in JSON; wiped when they go.
#[derive(Default, Clone)]
pub struct Hex(pub Zeroizing<Vec<u8>>);

impl Hex {
    pub fn of(raw: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(raw.into()))
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        hex::decode(&*text).map(Self::of).map_err(serde::de::Error::custom)
    }
}

// ---- rounds

#[derive(Serialize, Default)]
pub struct Said {
    /// The same to everybody.
    pub broadcast: Hex,
    /// To one party each.
    pub private: BTreeMap<u8, Hex>,
}

impl Said {
    pub fn say_to_all<T: Serialize>(&mut self, message: &T) {
        self.broadcast = encode(message);
    }

    pub fn say_to<T: Serialize>(&mut self, party: u8, message: &T) {
        self.private.insert(party, encode(message));
    }
}

#[derive(Deserialize)]
pub struct Heard {
    round: u8,
    broadcast: BTreeMap<u8, Hex>,
    private: BTreeMap<u8, Hex>,
}

impl Heard {
    pub fn said_to_all_by<T: for<'de> Deserialize<'de>>(&self, party: u8) -> Result<T, Abort> {
        decode(party, self.broadcast.get(&party))
    }

    pub fn said_to_me_by<T: for<'de> Deserialize<'de>>(&self, party: u8) -> Result<T, Abort> {
        decode(party, self.private.get(&party))
    }
}

fn encode<T: Serialize>(message: &T) -> Hex {
    Hex::of(postcard::to_stdvec(message).expect("what a protocol says can be written"))
}

fn decode<T: for<'de> Deserialize<'de>>(party: u8, raw: Option<&Hex>) -> Result<T, Abort> {
    let raw = raw.ok_or_else(|| Abort::by(party, "said nothing"))?;
    match postcard::take_from_bytes(&raw.0) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Abort::by(party, "said more than belongs to the round")),
        Err(error) => Err(Abort::by(party, format!("said what cannot be read: {error}"))),
    }
}

/// Say what belongs to a round, and hear what the others have said in it.
pub fn exchange(frames: &mut Frames, round: u8, said: Said) -> Result<Heard, Abort> {
    frames.write(&serde_json::json!({"kind": "round", "round": round, "said": said}))?;
    let heard: Heard = frames.read()?;
    if heard.round != round {
        return Err(Abort::of_parent(format!("round {} was brought in round {round}", heard.round)));
    }
    Ok(heard)
}
