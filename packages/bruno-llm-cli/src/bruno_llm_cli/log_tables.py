"""The tables of the log, and the SQL that writes and searches them."""

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bruno_llm_base.parts import Json
from bruno_llm_base.sqlite_file import PlainSqliteFile

from bruno_llm_cli.log_media import Attachment

_NAME = 100  # characters of its first question that a conversation is called by
# Words of these scripts are in the index, whatever their case and accents, and are found by how they
# begin. SQLite's tokens are no words of scripts without spaces, so what else is looked for is found
# anywhere in a text, as it stands.
_INDEXED = re.compile("[0-9A-Za-zÀ-ɏΑ-ώЀ-ҁҊ-ԧ]+")
_TABLES = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE responses (
    id INTEGER PRIMARY KEY,
    conversation_id TEXT NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
    created TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    resolved_model TEXT,
    system TEXT,
    prompt TEXT NOT NULL,
    response TEXT NOT NULL,
    reasoning TEXT,
    finish_reason TEXT,
    options TEXT,
    schema TEXT,
    tools TEXT,
    tool_calls TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cached_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost REAL,
    duration REAL,
    messages TEXT NOT NULL
);
CREATE INDEX responses_conversation ON responses (conversation_id);
CREATE TABLE attachments (
    id TEXT PRIMARY KEY,
    type TEXT,
    path TEXT,
    url TEXT,
    content BLOB
);
CREATE TABLE response_attachments (
    response_id INTEGER NOT NULL REFERENCES responses(id) ON DELETE CASCADE,
    attachment_id TEXT NOT NULL REFERENCES attachments(id),
    PRIMARY KEY (response_id, attachment_id)
);
CREATE VIRTUAL TABLE responses_fts USING fts5 (
    prompt, response, content="responses", content_rowid="id", tokenize="unicode61 remove_diacritics 2"
);
CREATE TRIGGER responses_added AFTER INSERT ON responses BEGIN
    INSERT INTO responses_fts (rowid, prompt, response) VALUES (new.id, new.prompt, new.response);
END;
CREATE TRIGGER responses_deleted AFTER DELETE ON responses BEGIN
    INSERT INTO responses_fts (responses_fts, rowid, prompt, response)
    VALUES ('delete', old.id, old.prompt, old.response);
END;
CREATE TRIGGER responses_changed AFTER UPDATE OF prompt, response ON responses BEGIN
    INSERT INTO responses_fts (responses_fts, rowid, prompt, response)
    VALUES ('delete', old.id, old.prompt, old.response);
    INSERT INTO responses_fts (rowid, prompt, response) VALUES (new.id, new.prompt, new.response);
END
"""
_END = re.compile(r";\n(?=CREATE)")


class LogFile(PlainSqliteFile):
    """The file of the log."""

    kind = "log"
    holds = "a log of answers"
    application = 0x42724C71  # "BrLq"
    schema = _END.split(_TABLES.strip())

    def copy(self, target: Path) -> None:
        """Copy it into an empty file."""
        with self._errors_named():
            self.connection().execute("VACUUM INTO ?", (str(target),))


def conditions_of(words: str) -> tuple[list[str], list[object]]:
    """Return what is true of the rows in which all *words* are, and the values in it."""
    conditions: list[str] = []
    values: list[object] = []
    text = words.encode(errors="replace").decode().split()
    if indexed := [w for w in text if _INDEXED.fullmatch(w) and w.isalnum()]:
        conditions.append("id IN (SELECT rowid FROM responses_fts WHERE responses_fts MATCH ?)")
        values.append(" ".join(f'"{word}"*' for word in indexed))
    for word in text:
        if word not in indexed:
            conditions.append("instr(lower(prompt || char(10) || response), lower(?))")
            values.append(word)
    return conditions, values


def insert(file: sqlite3.Connection, row: Json, said: Sequence[Attachment]) -> None:
    """Write a *row* of `responses`, its conversation, and what was attached."""
    name = " ".join(row["prompt"].split())
    file.execute(
        "INSERT OR IGNORE INTO conversations VALUES (?, ?, ?)",
        (
            row["conversation_id"],
            name if len(name) <= _NAME else f"{name[: _NAME - 1]}…",
            row["created"],
        ),
    )
    names, places = ", ".join(row), ", ".join("?" * len(row))
    added = file.execute(
        f"INSERT INTO responses ({names}) VALUES ({places})",  # noqa: S608 - names of ours
        tuple(row.values()),
    )
    for each in said:
        kept = (each.id, each.type, each.path, each.url, each.content)
        file.execute("INSERT OR IGNORE INTO attachments VALUES (?, ?, ?, ?, ?)", kept)
        link = "INSERT OR IGNORE INTO response_attachments VALUES (?, ?)"
        file.execute(link, (added.lastrowid, each.id))
