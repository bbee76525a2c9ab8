"""A small Transformer that continues sequences, written for PyTorch."""

import math

import torch
from torch import nn, optim
from torch.nn import TransformerEncoder, TransformerEncoderLayer

TOKENS, LENGTH = 12, 16


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=64):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(max_len).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
        pe = torch.zeros(max_len, 1, d_model)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)

    def forward(self, x):
        x = x + self.pe[: x.size(0)]
        return self.dropout(x)


class TransformerModel(nn.Module):
    def __init__(self, tokens, d_model, nhead, d_hid, nlayers, dropout, norm_first):
        super().__init__()
        self.pos_encoder = PositionalEncoding(d_model, dropout)
        layer = TransformerEncoderLayer(d_model, nhead, d_hid, dropout, norm_first=norm_first)
        self.transformer_encoder = TransformerEncoder(layer, nlayers, enable_nested_tensor=False)
        self.embedding = nn.Embedding(tokens, d_model)
        self.d_model = d_model
        self.linear = nn.Linear(d_model, tokens)
        self.init_weights()

    def init_weights(self):
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.linear.bias)
        nn.init.uniform_(self.linear.weight, -0.1, 0.1)

    def forward(self, src, src_mask=None):
        src = self.embedding(src) * math.sqrt(self.d_model)
        src = self.pos_encoder(src)
        if src_mask is None:
            src_mask = torch.triu(torch.full((len(src), len(src)), float("-inf")), diagonal=1)
        output = self.transformer_encoder(src, src_mask)
        return self.linear(output)


def get_batch(batch_size):
    """Arithmetic sequences modulo TOKENS, (LENGTH, batch_size): what follows is known from two."""
    start = torch.randint(0, TOKENS, (1, batch_size))
    stride = torch.randint(1, 5, (1, batch_size))
    whole = (start + stride * torch.arange(LENGTH + 1).unsqueeze(1)) % TOKENS
    return whole[:-1], whole[1:].reshape(-1)


def accuracy(model, batch_size=64):
    """The share of right continuations, from the third token on."""
    model.eval()
    with torch.no_grad():
        data, targets = get_batch(batch_size)
        output = model(data)
    right = output.argmax(-1) == targets.reshape(LENGTH, batch_size)
    return right[1:].float().mean().item()


def main(norm_first=False, steps=200, batch_size=16):
    torch.manual_seed(0)
    model = TransformerModel(TOKENS, 32, 2, 64, 2, 0.1, norm_first)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.01)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.005, total_steps=steps)
    losses = []
    model.train()
    for step in range(steps):
        data, targets = get_batch(batch_size)
        output = model(data)
        loss = criterion(output.view(-1, TOKENS), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"step {step + 1}: loss {sum(losses[-50:]) / 50:.3f}")
    single = model(get_batch(1)[0])
    assert single.shape == (LENGTH, 1, TOKENS)
    return losses, accuracy(model)


if __name__ == "__main__":
    print(main(), main(norm_first=True))
