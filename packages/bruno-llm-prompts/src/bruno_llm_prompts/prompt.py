"""What is asked again and again, with other values each time."""

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, Self

from bruno_core.models import Message
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.messages import system as said_by_system
from bruno_llm_base.messages import user
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.values import shown

from bruno_llm_prompts.files import read_prompt_file
from bruno_llm_prompts.plain_values import plain
from bruno_llm_prompts.template import Template


class Prompt:
    """A text with variables in it, which becomes messages when it is called with values.

        summary = Prompt("Summarize for {{ audience }}: {{ text }}", name="summary", version="3")
        answer = await llm.generate(summary(audience="children", text=document))

    Texts are templates of Jinja2, in its sandbox. They are code of the application's, and values are
    data: what looks like a template in a value is text, and no value has a way out of the sandbox.

    Attributes:
        text: What the user says.
        system: What the model is told to do throughout; None for nothing.
        name: What telemetry calls it, and errors.
        version: Which version of it telemetry tells.
        variables: The names of all values that it takes.
        untrusted: Those whose values others have written.
        defaults: Values where a call gives none.
        options: Options for calls: `llm.generate(summary(...), **summary.options)`.
    """

    def __init__(
        self,
        text: str,
        *,
        system: str | None = None,
        name: str | None = None,
        version: str | None = None,
        untrusted: Collection[str] = (),
        defaults: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the templates; nothing is rendered.

        Args:
            text: What the user says, with `{{ name }}` where a value goes.
            system: The same of the system text.
            name: What telemetry calls it.
            version: Its version, for telemetry too.
            untrusted: The variables whose values others have written, such as a document or a mail: the
                system text must not hold them.
            defaults: Values of variables that a call may leave out.
            options: Options that calls with it are meant to have.

        Raises:
            ConfigurationError: A template is wrong, the system text holds an untrusted variable, or one
                that is named is none.
        """
        place = f"the prompt {name!r}" if name else "the prompt"
        self._set_up(
            Template(text, place),
            None if system is None else Template(system, f"the system text of {place}"),
            place=place,
            name=name,
            version=version,
            untrusted=untrusted,
            defaults=defaults,
            options=options,
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Return the prompt of a file: its text, below facts between two lines `---` if it has some.

        The facts are YAML: `name` (that of the file if none), `version`, `system`, `untrusted`,
        `defaults`, `options`. The file is in UTF-8, or in UTF-16 with its mark.

        Raises:
            ConfigurationError: It cannot be read, or something in it is wrong; the line is told.
        """
        file = read_prompt_file(path)
        system = file.facts.pop("system", None)
        facts = {"name": Path(path).stem} | {n: v for n, v in file.facts.items() if v is not None}
        prompt = cls.__new__(cls)
        prompt._set_up(  # noqa: SLF001 - its own
            Template(file.text, file.place, file.line),
            None if system is None else Template(system, file.place, file.lines["system"]),
            place=file.place,
            **facts,
        )
        return prompt

    def _set_up(
        self,
        body: Template,
        system: Template | None,
        *,
        place: str,
        name: str | None = None,
        version: str | None = None,
        untrusted: Collection[str] = (),
        defaults: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        for label, word in (("name", name), ("version", version)):
            if not isinstance(word, str | None):
                raise ConfigurationError(f"{place}: {label} is {shown(word)}: give a text")
        self._body, self._system, self._place = body, system, place
        self.name, self.version = name, version
        self.text, self.system = body.text, None if system is None else system.text
        if not self.text.strip():
            raise ConfigurationError(f"{place} has no text: give what the user says")
        of_system = frozenset() if system is None else system.variables
        self.variables = body.variables | of_system
        self.untrusted = frozenset(self._names("untrusted", untrusted))
        self.defaults = self._mapping("defaults", defaults)
        self.options = self._mapping("options", options)
        self._names("defaults", self.defaults)
        if outside := sorted(self.untrusted & of_system):
            raise ConfigurationError(
                f"{place}: the system text holds {outside[0]!r}, which is untrusted, and would give it the"
                " system's word: move it into the text of the user"
            )

    def _names(self, label: str, names: Collection[str]) -> Collection[str]:
        """Return *names*, all of which must be variables."""
        if isinstance(names, str) or not isinstance(names, Collection):
            raise ConfigurationError(
                f"{self._place}: {label} is {shown(names)}: give a list of names"
            )
        for name in names:
            if name not in self.variables:
                raise ConfigurationError(
                    f"{self._place}: {label} names {name!r}, which is not in its texts"
                    f"{did_you_mean(str(name), self.variables)}"
                )
        return names

    def _mapping(self, label: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
        if not isinstance(given, Mapping | None):
            raise ConfigurationError(f"{self._place}: {label} is {shown(given)}: give a mapping")
        return dict(given or {})

    def __call__(self, row: Mapping[str, Any] | None = None, /, **values: Any) -> list[Message]:
        """Return the messages: the system text if there is one, and what the user says.

        Args:
            row: Values by their names; what it holds beside is left, so that `llm.map(rows, prompt)` works.
            **values: Values by their names.

        Raises:
            InvalidRequestError: A value is missing, is none of this prompt's, or cannot be written; or
                the text is empty in the end.
        """
        known = self.defaults | self._of_row(row) | values
        for name in values.keys() - self.variables:
            raise InvalidRequestError(
                f"{self._place} has no variable {name!r}{did_you_mean(name, self.variables)}"
            )
        if missing := sorted(self.variables - known.keys()):
            cure = f": give {missing[0]}=..."
            if row:
                cure = f", which the row does not have{did_you_mean(missing[0], map(str, row))}"
            raise InvalidRequestError(
                f"{self._place} needs {' and '.join(map(repr, missing))}{cure}"
            )
        rules = "" if self._system is None else self._system.render(known)
        said = self._body.render(known)
        if not said.strip():
            raise InvalidRequestError(f"{self._place} has no text with these values: give others")
        messages = [said_by_system(rules)] if rules.strip() else []
        messages.append(user(said))
        if self.name is not None:
            messages[-1].metadata["prompt"] = {"name": self.name, "version": self.version}
        return messages

    def _of_row(self, row: Mapping[str, Any] | None) -> dict[str, Any]:
        if not isinstance(row, Mapping | None):
            raise InvalidRequestError(
                f"{self._place} was called with {shown(row)}: give values by their names, such as"
                f" {min(self.variables, default='text')}=..."
            )
        return {name: row[name] for name in self.variables if row and name in row}

    @property
    def fingerprint(self) -> str:
        """What changes with anything that it says, the same in every process.

        Raises:
            ConfigurationError: A default is something of which that cannot be told, such as a function.
        """
        said = [self.text, self.system, self.name, self.version, self.defaults]
        try:
            text = json.dumps(plain(said), sort_keys=True)
        except (TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"{self._place} has no fingerprint: a default must be data that is the same in another"
                f" process, but {error}"
            ) from None
        return sha256(text.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        told = [repr(self.name)] if self.name else []
        told += [f"version={self.version!r}"] if self.version else []
        return f"{type(self).__name__}({', '.join([*told, f'variables={sorted(self.variables)}'])})"
