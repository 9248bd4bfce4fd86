"""Transformers that encode and decode with the same weights, and a decoder across modalities (CoBIT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import Transformer, sine_positions
from nearfar.encoders.tokens import START, Tokens
from nearfar.encoders.vocabulary import END, Vocabulary
from nearfar.multimodal.method import PairEncoder
from nearfar.multimodal.one_tower import Patches
from nearfar.parts import PatchCodes

__all__ = ["Sizes", "UnicoderNetwork"]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the network.

    Args:
        width, depth, heads: of each unicoder.
        decoder_width, decoder_depth, decoder_heads: of the decoder.
        patch: side in pixels of the patches that are encoded.
        code_patch: side in pixels of what a code stands for.
        codes: how many codes there are.
        words: how many words are known.
        max_length: tokens of a caption.
        shared: whether encoding and decoding share weights; without, each modality has a second transformer.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    decoder_width: int = 1024
    decoder_depth: int = 18
    decoder_heads: int = 16
    patch: int = 16
    code_patch: int = 8
    codes: int = 8192
    words: int = 64000
    max_length: int = 64
    shared: bool = True


class Unicoder(nn.Module):
    """A transformer (N, T, width) whose mask alone tells encoding, where all tokens see each other, from decoding."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.blocks = Transformer(sizes.width, sizes.depth, sizes.heads)
        self.second = None if sizes.shared else Transformer(sizes.width, sizes.depth, sizes.heads)

    def encode(self, tokens: Tensor, padding: Tensor | None = None) -> Tensor:
        return self.blocks(tokens, padding=padding)

    def decode(self, tokens: Tensor) -> Tensor:
        """States of tokens that see themselves and those before them; nothing is known of later ones."""
        return (self.second or self.blocks)(tokens, causal=True)


class Decoder(nn.Module):
    """Reads states of one modality up to each place, and the whole of the other."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.decoder_width
        self.given, self.read = nn.Linear(sizes.width, width), nn.Linear(sizes.width, width)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, sizes.decoder_heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(sizes.decoder_depth)
        )
        self.norm = nn.LayerNorm(width)
        self.words, self.codes = nn.Linear(width, sizes.words), nn.Linear(width, sizes.codes)

    def forward(self, states: Tensor, given: Tensor, padding: Tensor | None = None) -> Tensor:
        x, memory = self.read(states), self.given(given)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        for layer in self.layers:
            x = layer(x, memory, tgt_mask=later, memory_key_padding_mask=padding, tgt_is_causal=True)
        return self.norm(x)


class UnicoderNetwork(PairEncoder):
    """All of CoBIT: two unicoders, the decoder, heads of the contrast, words and codes.

    A picture is pixels where it is encoded and codes where it is decoded; the codes are k-means centres of patches
    (:class:`nearfar.parts.PatchCodes`).

    Args:
        sizes: of the network.
        dim: width of the space of the contrast.
    """

    grid: Tensor

    def __init__(self, sizes: Sizes, dim: int) -> None:
        super().__init__()
        width = sizes.width
        self.sizes, self.out_features = sizes, dim
        self.vocabulary = Vocabulary(sizes.words, sizes.max_length)
        self.tokenizer = PatchCodes(sizes.codes, sizes.code_patch)
        self.register_buffer("grid", torch.zeros(2, dtype=torch.long))
        self.patches = Patches(width, sizes.patch)
        self.code_table = nn.Embedding(sizes.codes + 1, width)  # the last one begins a picture
        self.word_table = nn.Embedding(sizes.words, width)
        self.code_norm, self.word_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        for token in (self.class_token, self.nothing):
            nn.init.normal_(token, std=0.02)
        self.image, self.text, self.decoder = Unicoder(sizes), Unicoder(sizes), Decoder(sizes)
        self.query = nn.Parameter(torch.randn(1, 1, width) / width**0.5)
        self.pool = nn.MultiheadAttention(width, sizes.heads, batch_first=True)
        self.image_projection = nn.Linear(width, dim, bias=False)
        self.text_projection = nn.Linear(width, dim, bias=False)

    def fit(self, images: Tensor, captions: Sequence[str], seed: int) -> None:
        """Make codes and vocabulary of some training pictures (N, 3, H, W) and all captions."""
        self.tokenizer.fit(images, seed)
        self.vocabulary.fit(captions)
        self.grid.copy_(torch.tensor(images.shape[2:]) // self.sizes.code_patch)

    # Encoding ---------------------------------------------------------------------------------------------

    def encode_images(self, images: Tensor) -> Tensor:
        """States (N, L, W) of the patches of pictures."""
        return self.image.encode(self.patches(images))

    def encode_text(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """States (N, T + 1, W) of captions, the class token last, and where there is padding."""
        x = self._words(tokens.input_ids)
        x = torch.cat([x, self.class_token.expand(len(x), -1, -1).to(x.dtype)], 1)
        padding = F.pad(tokens.attention_mask == 0, (0, 1))
        return self.text.encode(x, padding), padding

    def of_image(self, states: Tensor) -> Tensor:
        """Embeddings (N, D) of encoded pictures."""
        pooled = self.pool(self.query.expand(len(states), -1, -1), states, states, need_weights=False)[0]
        return self.image_projection(pooled[:, 0])

    def of_text(self, states: Tensor) -> Tensor:
        """Embeddings (N, D) of encoded captions."""
        return self.text_projection(states[:, -1])

    def embed_images(self, images: Tensor) -> Tensor:
        return self.of_image(self.encode_images(images))

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        return self.of_text(self.encode_text(self.vocabulary(sentences))[0])

    # Decoding ---------------------------------------------------------------------------------------------

    def next_words(self, ids: Tensor, given: Tensor) -> Tensor:
        """Scores (N, T, words) of the word behind each of (N, T), given encoded pictures."""
        return self.decoder.words(self.decoder(self.text.decode(self._words(ids)), given))

    def next_codes(self, codes: Tensor, given: Tensor, padding: Tensor | None = None) -> Tensor:
        """Scores (N, K + 1, codes) of the first code and of that behind each of (N, K), given encoded captions."""
        begun = F.pad(codes, (1, 0), value=self.sizes.codes)
        x = self.code_norm(self.code_table(begun))
        rows, columns = self.grid.tolist()
        x = x + F.pad(sine_positions(rows, columns, x.shape[2]), (0, 0, 1, 0))[: x.shape[1]].to(x)
        return self.decoder.codes(self.decoder(self.image.decode(x), given, padding))

    def _words(self, ids: Tensor) -> Tensor:
        x = self.word_norm(self.word_table(ids))
        return x + sine_positions(1, ids.shape[1], x.shape[2]).to(x)

    @torch.no_grad()
    def caption(self, images: Tensor) -> list[str]:
        """The likeliest next word again and again, for pictures (N, 3, H, W)."""
        given = self.encode_images(images)
        ids = torch.full((len(images), 1), START, device=given.device)
        for _ in range(self.sizes.max_length - 1):
            ids = torch.cat([ids, self.next_words(ids, given)[:, -1].argmax(1, keepdim=True)], 1)
            if bool((ids == END).any(1).all()):
                break
        return self.vocabulary.texts(ids)

    @torch.no_grad()
    def draw(self, sentences: Sequence[str], uniform: Tensor, guidance: float = 1.0) -> Tensor:
        r"""Pictures (N, 3, H, W) uint8 of captions, drawn code by code.

        Scores are :math:`\ell_u + g (\ell_c - \ell_u)` with those without a caption :math:`\ell_u`.

        Args:
            sentences: the captions.
            uniform: (N, K) numbers in [0, 1), of which each decides a code.
            guidance: g; 1 for the scores of the caption alone.
        """
        given, padding = self.encode_text(self.vocabulary(sentences))
        alone = self.nothing.expand(len(given), -1, -1)
        rows, columns = self.grid.tolist()
        last = int(self.tokenizer.known.nonzero().max())
        codes = torch.zeros(len(given), 0, dtype=torch.long, device=given.device)
        for place in range(rows * columns):
            scores = self.next_codes(codes, given, padding)[:, -1]
            if guidance != 1:
                free = self.next_codes(codes, alone)[:, -1]
                scores = free + guidance * (scores - free)
            scores = scores.masked_fill(~self.tokenizer.known, -torch.inf)
            below = scores.softmax(1).cumsum(1) < uniform[:, place, None].to(scores)
            codes = torch.cat([codes, below.sum(1, keepdim=True).clamp_max(last)], 1)
        side = self.sizes.code_patch
        return self.tokenizer.pictures(codes, rows * side, columns * side)
