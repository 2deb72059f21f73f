"""Solana: messages as bytes, taken apart again: a transfer of SOL, or nothing that custody ever signs."""
