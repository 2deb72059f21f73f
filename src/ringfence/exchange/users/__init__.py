"""People who sign in: what they know, what they have, and what they did. Filled by the account desk alone."""
