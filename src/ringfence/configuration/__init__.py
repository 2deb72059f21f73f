"""`ringfence.toml`, the one file of an exchange's settings, and which text of it is in force.

| module   | what is in it                                                              |
|----------|----------------------------------------------------------------------------|
| settings | every value: what it is, its range, what a new exchange has                |
| text     | from text to settings and back; the number of a text                       |
| in_force | copies of the texts that the journal put in force                          |
"""

from ringfence.configuration.in_force import (
    check_in_force,
    configuration_in_force,
    keep_text,
    note_in_force,
    number_in_force,
    text_in_force,
    text_path,
)
from ringfence.configuration.settings import (
    ANY,
    FIRST,
    NONE,
    SETTINGS,
    CoreSettings,
    FixSettings,
    GatewaySettings,
    Limits,
    Rates,
    Setting,
    Settings,
    tables,
    with_values,
)
from ringfence.configuration.text import (
    EXIT_CONFIG,
    NAME,
    Configuration,
    SettingsError,
    checked,
    decode,
    differences,
    in_words,
    number_of,
    read_configuration,
    render,
    text_refusal,
    toml,
    write_first,
)

__all__ = [
    "ANY",
    "EXIT_CONFIG",
    "FIRST",
    "NAME",
    "NONE",
    "SETTINGS",
    "Configuration",
    "CoreSettings",
    "FixSettings",
    "GatewaySettings",
    "Limits",
    "Rates",
    "Setting",
    "Settings",
    "SettingsError",
    "check_in_force", "checked",
    "configuration_in_force",
    "decode",
    "differences",
    "in_words",
    "keep_text",
    "note_in_force",
    "number_in_force",
    "number_of",
    "read_configuration",
    "render",
    "tables",
    "text_in_force",
    "text_path",
    "text_refusal",
    "toml",
    "with_values",
    "write_first",
]  # fmt: skip
