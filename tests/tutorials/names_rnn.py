"""Recurrent networks that tell from which language a name is, written for PyTorch."""

import string

import torch
import torch.nn as nn

NAMES = {
    "Italian": "Rossi Bianchi Ferrari Esposito Romano Colombo Ricci Marino Greco Bruno Gallo Conti "
    "Mancini Costa Giordano Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi",
    "Japanese": "Sato Suzuki Takahashi Tanaka Watanabe Ito Yamamoto Nakamura Kobayashi Kato "
    "Yoshida Yamada Sasaki Yamaguchi Matsumoto Inoue Kimura Hayashi Shimizu Yamazaki Mori Ikeda",
    "Polish": "Nowak Kowalski Wisniewski Wojcik Kowalczyk Kaminski Lewandowski Zielinski Szymanski "
    "Wozniak Dabrowski Kozlowski Jankowski Mazur Kwiatkowski Krawczyk Kaczmarek Piotrowski "
    "Grabowski Pawlowski Michalski Zajac Krol",
}
CATEGORIES = list(NAMES)
LETTERS = string.ascii_lowercase


class RNN(nn.Module):
    """A cell made of linear layers, one letter at a time."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size + hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line):
        hidden = torch.zeros(1, self.hidden_size)
        for i in range(line.size(0)):
            hidden = torch.tanh(self.i2h(torch.cat((line[i], hidden), 1)))
        return self.softmax(self.h2o(hidden))


class Recurrent(nn.Module):
    """The same with a layer of the library: RNN, LSTM or GRU."""

    def __init__(self, kind, input_size, hidden_size, output_size):
        super().__init__()
        self.rnn = getattr(nn, kind)(input_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, line):
        output, _ = self.rnn(line)
        return self.softmax(self.h2o(output[-1]))


def line_to_tensor(name):
    """(letters, 1, 26): a row for each letter, 1 where it is."""
    tensor = torch.zeros(len(name), 1, len(LETTERS))
    for i, letter in enumerate(name.lower()):
        tensor[i][0][LETTERS.index(letter)] = 1
    return tensor


def category_from_output(output):
    _, top_i = output.topk(1)
    return CATEGORIES[top_i[0].item()]


def train(model, examples, epochs):
    criterion = nn.NLLLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.8)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for i in torch.randperm(len(examples)).tolist():
            category, line = examples[i]
            loss = criterion(model(line), category)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        losses.append(total / len(examples))
    return losses


def main():
    torch.manual_seed(3)
    examples = [
        (torch.tensor([i]), line_to_tensor(name))
        for i, category in enumerate(CATEGORIES)
        for name in NAMES[category].split()
    ]
    found = {}
    for kind in ("by hand", "RNN", "LSTM", "GRU"):
        sizes = len(LETTERS), 24, len(CATEGORIES)
        model = RNN(*sizes) if kind == "by hand" else Recurrent(kind, *sizes)
        losses = train(model, examples, 12)
        with torch.no_grad():
            right = sum(
                category_from_output(model(line)) == CATEGORIES[category.item()]
                for category, line in examples
            )
        found[kind] = losses, right / len(examples)
        print(
            f"{kind}: loss {losses[0]:.3f} -> {losses[-1]:.3f}, {100 * right / len(examples):.0f} %"
        )
    return found


if __name__ == "__main__":
    main()
