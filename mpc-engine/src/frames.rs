//! Frames on the standard streams: four bytes of length, the highest first, and so many bytes of JSON.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run::Abort;

const FRAME_BYTES_MAX: usize = 8 << 20;

pub struct Frames {
    input: Box<dyn Read>,
    output: Box<dyn Write>,
}

impl Frames {
    pub fn of_standard_streams() -> Self {
        Self { input: Box::new(std::io::stdin()), output: Box::new(std::io::stdout()) }
    }

    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T, Abort> {
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(|_| Abort::of_parent("the parent has gone"))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(Abort::of_parent("a frame is too long"));
        }
        let mut raw = zeroize::Zeroizing::new(vec![0; length]);
        self.input.read_exact(&mut raw).map_err(|_| Abort::of_parent("a frame is cut short"))?;
        serde_json::from_slice(&raw)
            .map_err(|error| Abort::of_parent(format!("a frame cannot be read: {error}")))
    }

    pub fn write<T: Serialize>(&mut self, said: &T) -> Result<(), Abort> {
        let raw = zeroize::Zeroizing::new(serde_json::to_vec(said).expect("what we say is JSON"));
        let length = u32::try_from(raw.len()).expect("what we say is short").to_be_bytes();
        let sent = self.output.write_all(&length).and_then(|()| self.output.write_all(&raw));
        sent.and_then(|()| self.output.flush()).map_err(|_| Abort::of_parent("the parent has gone"))
    }
}
