"""Everything that goes over a line to a co-signer, and everything that comes back: one line of JSON each."""

import msgspec

from ringfence.custody.quorum.messages import Answer, Join, JointSignature, Question, Recall
from ringfence.custody.quorum.mpc.keys import Adopt, Adopted, Conduct, Keys, KeysHeld, Ready, Review
from ringfence.custody.quorum.mpc.sessions import Echo, Message


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """A message of a run was taken; what becomes of it the run says."""


Asked = Question | Join | Recall | Conduct | Adopt | Review | Keys | Message | Echo
Told = Answer | JointSignature | Ready | Adopted | KeysHeld | Taken
