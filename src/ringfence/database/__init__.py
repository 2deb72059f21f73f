"""How databases are found, opened, made and kept to one writer, for whatever is in them.

| module    | what is in it                                                                        |
|-----------|--------------------------------------------------------------------------------------|
| addresses | `database.url`: where the database of an exchange is, and as whom each process asks   |
| engines   | `open_engine`: SQLite or PostgreSQL, durable                                          |
| migrating | `Migrations`: makes the tables, brings old ones forward, refuses strange ones         |
| accounts  | the tables of accounts: lines of chained logs, and API keys                           |
| log_table | `LogTable`: a chained log's lines in PostgreSQL                                       |
| roles     | the roles of an exchange, each with the rights it needs and no more                   |
"""
