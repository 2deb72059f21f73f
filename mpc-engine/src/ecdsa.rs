//! ECDSA over secp256k1 with DKLs23: key generation, signing, complete refresh and repair of the crate dkls23.

use std::collections::BTreeMap;

use dkls23_secp256k1::protocols::dkg::{
    BroadcastDerivationPhase2to4, BroadcastDerivationPhase3to4, ProofCommitment, TransmitInitMulPhase3to4,
    TransmitInitZeroSharePhase2to4, TransmitInitZeroSharePhase3to4,
};
use dkls23_secp256k1::protocols::repair::{RepairError, RepairTerm, repair_assemble};
use dkls23_secp256k1::protocols::signing::{Broadcast3to4, SignData, TransmitPhase1to2, TransmitPhase2to3};
use dkls23_secp256k1::protocols::{self, AbortKind, Parameters, PartyIndex};
use dkls23_secp256k1::utilities::proofs::DLogProof;
use dkls23_secp256k1::{DkgSession, Party, PublicKeyPackage, SignSession};
use k256::elliptic_curve::group::GroupEncoding;
use k256::{Scalar, Secp256k1};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::frames::Frames;
use crate::run::{Abort, Hex, Operation, Outcome, Request, Said, exchange};

type Commitment = [u8; 32];

pub fn perform(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    match request.operation {
        Operation::Dkg => generate(request, frames),
        Operation::Sign => sign(request, frames),
        Operation::Refresh => renew(request, frames),
        Operation::Repair => repair(request, frames),
    }
}

fn generate(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let parameters =
        Parameters::new(request.threshold, request.count).map_err(|_| Abort::of_parent("no threshold"))?;
    let mut session = DkgSession::<Secp256k1>::new(parameters, index(request.me), request.session.0.to_vec());

    let fragments = fragments(request, frames, session.phase1())?;
    let (proof, zeros, chain) = session.phase2(&fragments).map_err(named)?;

    let mut said = Said::default();
    said.say_to_all(&(proof.commitment, &chain));
    for zero in &zeros {
        said.say_to(zero.parties.receiver.as_u8(), zero);
    }
    let heard = exchange(frames, 2, said)?;
    let mut commitments = BTreeMap::new();
    let mut chains_2 = BTreeMap::from([(index(request.me), chain)]);
    let mut zeros_2 = Vec::new();
    for party in request.others() {
        let (commitment, chain): (Commitment, BroadcastDerivationPhase2to4) = heard.said_to_all_by(party)?;
        commitments.insert(party, commitment);
        chains_2.insert(index(party), chain);
        zeros_2.push(heard.said_to_me_by::<TransmitInitZeroSharePhase2to4>(party)?);
    }

    let (zeros, multiplications, chain) = session.phase3().map_err(named)?;
    let mut said = Said::default();
    said.say_to_all(&(&proof.proof, &chain));
    for (zero, multiplication) in zeros.iter().zip(&multiplications) {
        assert_eq!(zero.parties.receiver, multiplication.parties.receiver);
        said.say_to(zero.parties.receiver.as_u8(), &(zero, multiplication));
    }
    let heard = exchange(frames, 3, said)?;
    let mut proofs = vec![proof];
    let mut chains_3 = BTreeMap::from([(index(request.me), chain)]);
    let (mut zeros_3, mut multiplications) = (Vec::new(), Vec::new());
    for party in request.others() {
        let (proof, chain): (DLogProof<Secp256k1>, BroadcastDerivationPhase3to4) =
            heard.said_to_all_by(party)?;
        proofs.push(ProofCommitment { index: index(party), proof, commitment: commitments[&party] });
        chains_3.insert(index(party), chain);
        let (zero, multiplication): (TransmitInitZeroSharePhase3to4, TransmitInitMulPhase3to4<Secp256k1>) =
            heard.said_to_me_by(party)?;
        zeros_3.push(zero);
        multiplications.push(multiplication);
    }
    let (party, package) = session
        .phase4(&proofs, &zeros_2, &zeros_3, &multiplications, &chains_2, &chains_3, |_| String::new())
        .map_err(named)?;
    outcome(&party, &package)
}

fn renew(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let (party, package) = (share_of(request)?, package_of(request)?);
    let session = &request.session.0;

    let fragments = fragments(request, frames, party.refresh_complete_phase1())?;
    let (correction, proof, zero_kept, zeros) = party.refresh_complete_phase2(session, &fragments);
    let correction = Zeroizing::new(correction);

    let mut said = Said::default();
    said.say_to_all(&proof.commitment);
    for zero in &zeros {
        said.say_to(zero.parties.receiver.as_u8(), zero);
    }
    let heard = exchange(frames, 2, said)?;
    let mut commitments = BTreeMap::new();
    let mut zeros_2 = Vec::new();
    for one in request.others() {
        commitments.insert(one, heard.said_to_all_by::<Commitment>(one)?);
        zeros_2.push(heard.said_to_me_by::<TransmitInitZeroSharePhase2to4>(one)?);
    }

    let (zero_kept, zeros, kept, multiplications) = party.refresh_complete_phase3(session, &zero_kept);
    let mut said = Said::default();
    said.say_to_all(&proof.proof);
    for (zero, multiplication) in zeros.iter().zip(&multiplications) {
        assert_eq!(zero.parties.receiver, multiplication.parties.receiver);
        said.say_to(zero.parties.receiver.as_u8(), &(zero, multiplication));
    }
    let heard = exchange(frames, 3, said)?;
    let mut proofs = vec![proof];
    let (mut zeros_3, mut multiplications) = (Vec::new(), Vec::new());
    for one in request.others() {
        proofs.push(ProofCommitment {
            index: index(one),
            proof: heard.said_to_all_by(one)?,
            commitment: commitments[&one],
        });
        let (zero, multiplication): (TransmitInitZeroSharePhase3to4, TransmitInitMulPhase3to4<Secp256k1>) =
            heard.said_to_me_by(one)?;
        zeros_3.push(zero);
        multiplications.push(multiplication);
    }
    let after = party
        .refresh_complete_phase4(
            session,
            &correction,
            &proofs,
            &zero_kept,
            &zeros_2,
            &zeros_3,
            &kept,
            &multiplications,
        )
        .map_err(named)?;
    let package = package.refresh(session, &proofs).map_err(|reason| Abort::of_parent(reason.to_string()))?;
    outcome(&after, &package)
}

fn sign(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let mut party = share_of(request)?;
    if !request.path.is_empty() {
        party = party
            .derive_from_path(&request.path, |_| String::new())
            .map_err(|error| Abort::of_parent(error.description.clone()))?;
    }
    let digest: Commitment =
        request.message.0.as_slice().try_into().map_err(|_| Abort::of_parent("a digest has 32 bytes"))?;
    let data = SignData {
        sign_id: request.session.0.to_vec(),
        counterparties: request.others().map(index).collect(),
        message_hash: digest,
    };
    let (mut session, first) = SignSession::new(&party, data).map_err(named)?;

    let mut said = Said::default();
    for message in &first {
        said.say_to(message.parties.receiver.as_u8(), message);
    }
    let firsts = received::<TransmitPhase1to2>(request, frames, 1, said)?;
    let second = session.phase2(&firsts).map_err(named)?;

    let mut said = Said::default();
    for message in &second {
        said.say_to(message.parties.receiver.as_u8(), message);
    }
    let seconds = received::<TransmitPhase2to3<Secp256k1>>(request, frames, 2, said)?;
    let third = session.phase3(&seconds).map_err(named)?;

    let mut said = Said::default();
    said.say_to_all(&third);
    let heard = exchange(frames, 3, said)?;
    let mut all: Vec<Broadcast3to4<Secp256k1>> = vec![third];
    for one in request.others() {
        all.push(heard.said_to_all_by(one)?);
    }
    let signature = session.phase4(&all, true).map_err(named)?;
    Ok(Outcome {
        public_key: hex::encode(party.pk.to_bytes()),
        signature: Hex::of([signature.r, signature.s].concat()),
        recovery_id: signature.recovery_id,
        ..Outcome::default()
    })
}

fn repair(request: &Request, frames: &mut Frames) -> Result<Outcome, Abort> {
    let helpers: Vec<PartyIndex> =
        request.parties.iter().filter(|one| **one != request.target).map(|one| index(*one)).collect();
    if request.me != request.target {
        let term = share_of(request)?
            .repair_term(&helpers, index(request.target), &request.session.0)
            .map_err(unrepaired)?;
        let mut said = Said::default();
        said.say_to(request.target, &term);
        exchange(frames, 1, said)?;
        return Ok(Outcome::default());
    }
    let package = package_of(request)?;
    let heard = exchange(frames, 1, Said::default())?;
    let mut terms: Vec<RepairTerm<Secp256k1>> = Vec::new();
    for one in request.others() {
        let term: RepairTerm<Secp256k1> = heard.said_to_me_by(one)?;
        if term.helper != index(one) {
            return Err(Abort::by(one, "helps in another's name"));
        }
        terms.push(term);
    }
    let party =
        repair_assemble(&package, index(request.me), &terms, |_| String::new()).map_err(unrepaired)?;
    outcome(&party, &package)
}

// ---- messages

/// Deal the points of a polynomial, and return what was dealt to this party, its own point among them.
fn fragments(
    request: &Request,
    frames: &mut Frames,
    points: Vec<Scalar>,
) -> Result<Zeroizing<Vec<Scalar>>, Abort> {
    let points = Zeroizing::new(points);
    let mut said = Said::default();
    for party in request.others() {
        said.say_to(party, &points[usize::from(party) - 1]);
    }
    let heard = exchange(frames, 1, said)?;
    let mut mine = Zeroizing::new(vec![points[usize::from(request.me) - 1]]);
    for party in request.others() {
        mine.push(heard.said_to_me_by(party)?);
    }
    Ok(mine)
}

fn received<T: for<'de> serde::Deserialize<'de>>(
    request: &Request,
    frames: &mut Frames,
    round: u8,
    said: Said,
) -> Result<Vec<T>, Abort> {
    let heard = exchange(frames, round, said)?;
    request.others().map(|party| heard.said_to_me_by(party)).collect()
}

// ---- values

fn index(party: u8) -> PartyIndex {
    PartyIndex::new(party).expect("parties are counted from 1")
}

fn share_of(request: &Request) -> Result<Party, Abort> {
    let party: Party = read(&request.share, "share")?;
    let said = (party.party_index, party.parameters.threshold, party.parameters.share_count);
    if said != (index(request.me), request.threshold, request.count) {
        return Err(Abort::of_parent("the share is of another place or of other parameters"));
    }
    Ok(party)
}

fn package_of(request: &Request) -> Result<PublicKeyPackage, Abort> {
    read(&request.package, "key's public package")
}

fn read<T: DeserializeOwned>(raw: &Hex, what: &str) -> Result<T, Abort> {
    match postcard::take_from_bytes(&raw.0) {
        Ok((value, [])) => Ok(value),
        _ => Err(Abort::of_parent(format!("the {what} cannot be read"))),
    }
}

fn written<T: Serialize>(value: &T) -> Hex {
    Hex::of(postcard::to_stdvec(value).expect("what a protocol keeps can be written"))
}

fn outcome(party: &Party, package: &PublicKeyPackage) -> Result<Outcome, Abort> {
    Ok(Outcome {
        public_key: hex::encode(party.pk.to_bytes()),
        share: written(party),
        package: written(package),
        chain_code: Hex::of(party.chain_code().to_vec()),
        ..Outcome::default()
    })
}

#[allow(clippy::needless_pass_by_value)]
fn named(abort: protocols::Abort) -> Abort {
    let banned = match abort.kind {
        AbortKind::BanCounterparty(party) => party.as_u8(),
        AbortKind::Recoverable => 0,
    };
    Abort { reason: abort.description(), culprit: banned, is_banned: banned != 0 }
}

#[allow(clippy::needless_pass_by_value)]
fn unrepaired(error: RepairError) -> Abort {
    Abort::of_parent(error.to_string())
}
