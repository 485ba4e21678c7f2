"""Examples are chosen by similarity, and embedded once."""

import asyncio
import json
import resource

import pytest
from bruno_core.interfaces import EmbeddingInterface
from bruno_llm_base import ConfigurationError, InvalidRequestError, run_sync
from bruno_llm_base.exceptions import ServiceUnavailableError
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_prompts import Examples, Prompt
from bruno_llm_testing import FakeOpenAI
from hypothesis import given
from hypothesis import strategies as st

PAIRS = [("aaa", "1"), ("aab", "2"), ("bbb", "3"), ("abc", "4")]


class Letters(EmbeddingInterface):
    """A text's vector is how often it has which letter."""

    def __init__(self, model="letters", letters="abc"):
        self.model, self.letters, self.embedded, self.failures = model, letters, [], 0

    async def embed_text(self, text):
        return [float(text.count(letter)) for letter in self.letters]

    async def embed_texts(self, texts):
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailableError("down")
        self.embedded.append(list(texts))
        return [await self.embed_text(text) for text in texts]

    async def embed_message(self, message):
        return await self.embed_text(message.content)

    def get_model_name(self):
        return self.model

    def get_dimension(self):
        return len(self.letters)

    def calculate_similarity(self, embedding1, embedding2):
        raise NotImplementedError

    async def check_connection(self):
        return True


async def near(examples, text, k=3):
    messages = await examples.near(text, k)
    assert [m.role.value for m in messages] == ["user", "assistant"] * (len(messages) // 2)
    said = [message.content for message in messages]
    return list(zip(said[::2], said[1::2], strict=True))


async def test_the_most_similar_are_chosen_and_the_best_is_last():
    examples = Examples(PAIRS, embeddings=Letters())
    assert await near(examples, "b", 2) == [("abc", "4"), ("bbb", "3")]
    assert await near(examples, "aa", 3) == [("abc", "4"), ("aab", "2"), ("aaa", "1")]
    assert len(await near(examples, "c", 100)) == len(PAIRS)


async def test_of_equal_ones_the_first_given_are_chosen():
    pairs = [("ab", "1"), ("ba", "2"), ("aabb", "3"), ("ab", "4")]
    examples = Examples(pairs, embeddings=Letters())
    assert await near(examples, "ab", 2) == [("ba", "2"), ("ab", "1")]


@given(st.lists(st.text("abc", min_size=1), min_size=1, max_size=20), st.text("abc", min_size=1))
def test_the_order_is_always_the_same(questions, text):
    pairs = [(question, str(place)) for place, question in enumerate(questions)]
    found = [
        asyncio.run(near(Examples(pairs, embeddings=Letters()), text, k))
        for k in (1, 2, len(pairs))
    ]
    assert sorted(found[-1]) == sorted(pairs)
    assert found[-1][-2:] == found[1]
    assert found[-1][-1:] == found[0]


async def test_all_is_embedded_once():
    embeddings = Letters()
    examples = Examples([*PAIRS, ("aaa", "again")], embeddings=embeddings)
    await asyncio.gather(*(examples.near("a") for _ in range(5)))
    await examples.near("b")
    assert embeddings.embedded == [["aaa", "aab", "bbb", "abc"]]


async def test_after_a_failure_it_is_tried_again():
    embeddings = Letters()
    embeddings.failures = 1
    examples = Examples(PAIRS, embeddings=embeddings)
    with pytest.raises(ServiceUnavailableError):
        await examples.near("a")
    assert await near(examples, "b", 1) == [("bbb", "3")]


async def test_a_file_keeps_the_vectors(tmp_path):
    file, embeddings = tmp_path / "examples.json", Letters()
    first = await near(Examples(PAIRS, embeddings=embeddings, file=file), "aab", 4)
    again = await near(Examples(PAIRS, embeddings=embeddings, file=str(file)), "aab", 4)
    assert first == again
    assert len(embeddings.embedded) == 1
    assert json.loads(file.read_text())["model"] == "letters"
    assert "aaa" not in file.read_text()  # what was asked stays out of it
    assert list(tmp_path.iterdir()) == [file]


async def test_only_new_examples_are_embedded(tmp_path):
    file, embeddings = tmp_path / "examples.json", Letters()
    await Examples(PAIRS, embeddings=embeddings, file=file).near("a")
    changed = [*PAIRS[1:], ("cc", "5")]
    assert (await near(Examples(changed, embeddings=embeddings, file=file), "c"))[-1] == ("cc", "5")
    assert embeddings.embedded[1:] == [["cc"]]
    assert len(json.loads(file.read_text())["vectors"]) == len(changed)


async def test_a_changed_model_is_an_error(tmp_path):
    file = tmp_path / "examples.json"
    await Examples(PAIRS, embeddings=Letters(), file=file).near("a")
    before = file.read_bytes()
    told = r"examples\.json holds vectors of the model 'letters', and these are of 'words': delete"
    with pytest.raises(ConfigurationError, match=told):
        await Examples(PAIRS, embeddings=Letters("words"), file=file).near("a")
    for pairs in (PAIRS, [*PAIRS, ("ab", "5")]):  # of one name, but of other dimensions
        with pytest.raises(ConfigurationError, match="have 3 numbers, and that of the question 2"):
            await Examples(pairs, embeddings=Letters(letters="ab"), file=file).near("a")
        file.write_bytes(before)


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", '{"model": "letters", "vectors": {"a": "!"}}', "\x00"]
)
async def test_a_file_that_is_something_else_is_told_and_left(tmp_path, data):
    file = tmp_path / "examples.json"
    file.write_text(data)
    with pytest.raises(
        ConfigurationError, match=r"examples\.json is not a file of vectors: delete"
    ):
        await Examples(PAIRS, embeddings=Letters(), file=file).near("a")
    assert file.read_text() == data


async def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        await Examples(PAIRS, embeddings=Letters(), file=tmp_path).near("a")
    with pytest.raises(ConfigurationError, match=r"e\.json cannot be written: No such file"):
        await Examples(PAIRS, embeddings=Letters(), file=tmp_path / "no" / "e.json").near("a")


async def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    file, limit = tmp_path / "examples.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    await Examples(PAIRS, embeddings=Letters(), file=file).near("a")
    before = file.read_bytes()
    more = Examples([*PAIRS, ("cc", "5")], embeddings=Letters(), file=file)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limit[1]))
    try:
        with pytest.raises(ConfigurationError, match=r"examples\.json cannot be written: File too"):
            await more.near("a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    await more.near("a")
    plain = tmp_path / "plain"
    plain.touch()
    assert file.stat().st_mode == plain.stat().st_mode  # as the umask has it


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([], "there are no examples"),
        (["ab"], r"examples\[0\] is 'ab': give a pair of texts"),
        ([("a", "b"), ("a",)], r"examples\[1\] is \('a',\)"),
        ([("a", " ")], r"examples\[0\] is"),
        ([("a", 5)], r"examples\[0\] is"),
    ],
)
def test_what_is_no_pair_is_refused(pairs, told):
    with pytest.raises(ConfigurationError, match=told):
        Examples(pairs, embeddings=Letters())


async def test_other_arguments_are_checked(tmp_path):
    with pytest.raises(ConfigurationError, match="embeddings is 5: give an EmbeddingInterface"):
        Examples(PAIRS, embeddings=5)
    for k in (0, -1, True, "3"):
        with pytest.raises(InvalidRequestError, match=r"k is .*: give a whole number above 0"):
            await Examples(PAIRS, embeddings=Letters()).near("a", k)


def test_several_loops_may_use_it():
    examples = Examples(PAIRS, embeddings=Letters())
    first = asyncio.run(near(examples, "b", 1))
    assert [first, run_sync(near(examples, "b", 1))] == [[("bbb", "3")]] * 2


async def test_at_the_wire_with_a_prompt():
    prompt = Prompt("{{ text }}", system="Answer with one word.")
    with FakeOpenAI() as server:
        connection = server.connection()
        async with (
            OpenAIProvider(**connection, model="gpt-4.1") as llm,
            OpenAIEmbeddings(**connection) as embeddings,
        ):
            examples = Examples([("2 apples", "fruit"), ("a trout", "fish")], embeddings=embeddings)
            await llm.generate([*await examples.near("a trout", 2), *prompt(text="a trout")])
        assert server.bodies[-1]["messages"] == [
            {"role": "system", "content": "Answer with one word."},
            {"role": "user", "content": "2 apples"},
            {"role": "assistant", "content": "fruit"},
            {"role": "user", "content": "a trout"},
            {"role": "assistant", "content": "fish"},
            {"role": "user", "content": "a trout"},
        ]
