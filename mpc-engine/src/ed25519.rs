//! Ed25519 with FROST (RFC 9591): key generation, signing, refresh and repair of the crate frost-ed25519.

use std::collections::BTreeMap;

use frost_ed25519::keys::{KeyPackage, PublicKeyPackage, dkg, refresh, repairable};
use frost_ed25519::{Error, Identifier, SigningPackage, round1, round2};
use rand::rngs::OsRng;

use crate::frames::Frames;
use crate::run::{Abort, Hex, Operation, Outcome, Request, Said, exchange};

pub fn perform(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    match request.operation {
        Operation::Dkg => generate(request, frames),
        Operation::Sign => sign(request, frames),
        Operation::Refresh => renew(request, frames),
        Operation::Repair => repair(request, frames),
    }
}

fn generate(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let (count, threshold) = (u16::from(request.count), u16::from(request.threshold));
    let (first, package) = dkg::part1(id(request.me), count, threshold, OsRng).map_err(named)?;
    let firsts = everybodys(request, frames, 1, &package)?;
    let (second, packages) = dkg::part2(first, &firsts).map_err(named)?;
    let seconds = to_each(request, frames, 2, &packages)?;
    let (share, public) = dkg::part3(&second, &firsts, &seconds).map_err(named)?;
    outcome(&share, &public)
}

fn renew(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let (share, public) = (share_of(request)?, package_of(request)?);
    let (count, threshold) = (u16::from(request.count), u16::from(request.threshold));
    let (first, package) =
        refresh::refresh_dkg_part1(id(request.me), count, threshold, OsRng).map_err(named)?;
    let firsts = everybodys(request, frames, 1, &package)?;
    let (second, packages) = refresh::refresh_dkg_part2(first, &firsts).map_err(named)?;
    let seconds = to_each(request, frames, 2, &packages)?;
    let (share, public) =
        refresh::refresh_dkg_shares(&second, &firsts, &seconds, public, share).map_err(named)?;
    outcome(&share, &public)
}

fn sign(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let (share, public) = (share_of(request)?, package_of(request)?);
    let (nonces, commitments) = round1::commit(share.signing_share(), &mut OsRng);
    let mut all = everybodys(request, frames, 1, &commitments)?;
    all.insert(id(request.me), commitments);
    let package = SigningPackage::new(all, &request.message.0);
    let part = round2::sign(&package, &nonces, &share).map_err(named)?;
    let mut parts = everybodys(request, frames, 2, &part)?;
    parts.insert(id(request.me), part);
    let signature = frost_ed25519::aggregate(&package, &parts, &public).map_err(named)?;
    Ok(Outcome {
        public_key: hex::encode(public.verifying_key().serialize().map_err(named)?),
        signature: Hex::of(signature.serialize().map_err(named)?),
        ..Outcome::default()
    })
}

fn repair(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let helpers: Vec<Identifier> =
        request.parties.iter().filter(|one| **one != request.target).map(|one| id(*one)).collect();
    if request.me == request.target {
        return be_repaired(request, frames);
    }
    let share = share_of(request)?;
    let mut deltas = repairable::repair_share_part1::<frost_ed25519::Ed25519Sha512, _>(
        &helpers,
        &share,
        &mut OsRng,
        id(request.target),
    )
    .map_err(named)?;
    let mut all = vec![deltas.remove(&id(request.me)).expect("a helper helps itself too")];
    let mut said = Said::default();
    for party in request.others().filter(|one| *one != request.target) {
        said.say_to(party, &deltas[&id(party)].serialize());
    }
    let heard = exchange(frames, 1, said)?;
    for party in request.others().filter(|one| *one != request.target) {
        let raw: Vec<u8> = heard.said_to_me_by(party)?;
        all.push(repairable::Delta::deserialize(&raw).map_err(|_| Abort::by(party, "said no delta"))?);
    }
    let mut said = Said::default();
    said.say_to(request.target, &repairable::repair_share_part2(&all).serialize());
    exchange(frames, 2, said)?;
    Ok(Outcome::default())
}

fn be_repaired(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let public = package_of(request)?;
    exchange(frames, 1, Said::default())?;
    let heard = exchange(frames, 2, Said::default())?;
    let mut sigmas = Vec::new();
    for party in request.others() {
        let raw: Vec<u8> = heard.said_to_me_by(party)?;
        sigmas.push(repairable::Sigma::deserialize(&raw).map_err(|_| Abort::by(party, "said no sigma"))?);
    }
    let share = repairable::repair_share_part3(&sigmas, id(request.me), &public).map_err(named)?;
    outcome(&share, &public)
}

// ---- messages

/// Say the same to everybody, and return what each other one has said.
fn everybodys<T>(
    request: &Request,
    frames: &mut Frames,
    round: u8,
    message: &T,
) -> Result<BTreeMap<Identifier, T>, Abort>
where
    T: serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    let mut said = Said::default();
    said.say_to_all(message);
    let heard = exchange(frames, round, said)?;
    request.others().map(|party| Ok((id(party), heard.said_to_all_by(party)?))).collect()
}

fn to_each<T>(
    request: &Request,
    frames: &mut Frames,
    round: u8,
    messages: &BTreeMap<Identifier, T>,
) -> Result<BTreeMap<Identifier, T>, Abort>
where
    T: serde::Serialize + for<'de> serde::Deserialize<'de>,
{
    let mut said = Said::default();
    for party in request.others() {
        said.say_to(party, &messages[&id(party)]);
    }
    let heard = exchange(frames, round, said)?;
    request.others().map(|party| Ok((id(party), heard.said_to_me_by(party)?))).collect()
}

// ---- values

fn id(party: u8) -> Identifier {
    u16::from(party).try_into().expect("parties are counted from 1")
}

fn number(identifier: &Identifier) -> u8 {
    (1..=u8::MAX).find(|party| id(*party) == *identifier).unwrap_or(0)
}

fn share_of(request: &Request) -> Result<KeyPackage, Abort> {
    KeyPackage::deserialize(&request.share.0)
        .map_err(|error| Abort::of_parent(format!("the share cannot be read: {error}")))
}

fn package_of(request: &Request) -> Result<PublicKeyPackage, Abort> {
    PublicKeyPackage::deserialize(&request.package.0)
        .map_err(|error| Abort::of_parent(format!("the key's public package cannot be read: {error}")))
}

fn outcome(share: &KeyPackage, public: &PublicKeyPackage) -> Result<Outcome, Abort> {
    Ok(Outcome {
        public_key: hex::encode(public.verifying_key().serialize().map_err(named)?),
        share: Hex::of(share.serialize().map_err(named)?),
        package: Hex::of(public.serialize().map_err(named)?),
        ..Outcome::default()
    })
}

/// Return an error with whom it names. Ed25519 keeps no state that a cheat could learn from: nobody is banned.
#[allow(clippy::needless_pass_by_value)]
fn named(error: Error) -> Abort {
    let culprit = error.culprits().first().map_or(0, number);
    Abort::by(culprit, error.to_string())
}
