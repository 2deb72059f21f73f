"""What tests of every house share: commands in one line, and a venue with its instruments open."""
