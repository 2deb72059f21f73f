//! One run of a threshold protocol for one party, and then the process is over.
//!
//! It is told on standard input what to run and what the others have said, and says on standard output what to send to
//! them. It opens no file and no socket; who the others are, and that a message is theirs, is for its parent to know.
//! The protocols themselves are those of the crates dkls23 (ECDSA) and frost (Ed25519); nothing is added to them here.

mod ecdsa;
mod ed25519;
mod frames;
mod hardening;
mod run;

use frames::Frames;
use run::{Abort, Outcome, Request, Scheme};

fn main() {
    let weaknesses = hardening::harden();
    let mut frames = Frames::of_standard_streams();
    let said = match perform(&mut frames, weaknesses) {
        Ok(outcome) => serde_json::json!({"kind": "done", "outcome": outcome}),
        Err(abort) => serde_json::json!({"kind": "abort", "abort": abort}),
    };
    if frames.write(&said).is_err() {
        std::process::exit(74);
    }
}

fn perform(frames: &mut Frames, weaknesses: Vec<&'static str>) -> Result<Outcome, Abort> {
    frames.write(&serde_json::json!({"kind": "hello", "weaknesses": weaknesses}))?;
    let request: Request = frames.read()?;
    request.check()?;
    match request.scheme {
        Scheme::EcdsaSecp256k1 => ecdsa::perform(&request, frames),
        Scheme::Ed25519 => ed25519::perform(&request, frames),
    }
}
