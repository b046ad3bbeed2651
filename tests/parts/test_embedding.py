"""The packaged embedding model, as it is run here, against sentence-transformers' own way."""

import asyncio

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from orchestra.llm.embedding import Embedder, _packaged_folder

TEXTS = [
    "Why?",
    "How do I get past the gatekeeper when cold calling?",
    "naïve café über straße 価格 🙂",
    "We decided to open the second shop in spring. " * 12,
    *(
        f"What did we decide about order {number}, " + "please " * (number % 9)
        for number in range(40)
    ),
]


@pytest.mark.timeout(120)
async def test_vectors_are_those_of_the_model_alone_and_in_a_crowd():
    expected = SentenceTransformer(str(_packaged_folder()), device="cpu").encode(
        TEXTS, normalize_embeddings=True, batch_size=1, show_progress_bar=False
    )
    embedder = Embedder()
    await embedder.open()
    crowd = np.array(await asyncio.gather(*(embedder.embed(text) for text in TEXTS)))
    alone = np.array([(await embedder.embed_all([text]))[0] for text in TEXTS])
    together = await embedder.embed_all(TEXTS)
    await embedder.close()
    for found in (crowd, alone, together):
        assert found.shape == (len(TEXTS), embedder.width)
        assert (found * expected).sum(axis=1).min() > 0.999
