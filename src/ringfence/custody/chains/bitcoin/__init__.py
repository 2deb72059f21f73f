"""Bitcoin, as Bitcoin Core tells it: production and the embedded regtest chain answer the same calls.

| module       | what is in it                                                                     |
|--------------|-----------------------------------------------------------------------------------|
| rpc          | `BitcoinRpc`: the calls that we make to a node, and what can go wrong             |
| transactions | transactions and blocks, taken apart                                              |
| kernel       | Bitcoin Core's consensus library: does this transaction spend these coins?        |
| follow       | `Follower`: what a chain has done to our outputs; pure                            |
| watch        | asks a node what the follower wants to know                                       |
| regtest      | an own chain for development, validated by the kernel and served like a node      |
"""
