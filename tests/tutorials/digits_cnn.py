"""A convolutional network that reads drawn digits, written for PyTorch."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR

GLYPHS = {
    0: "01110 10001 10011 10101 11001 10001 01110",
    1: "00100 01100 00100 00100 00100 00100 01110",
    2: "01110 10001 00001 00010 00100 01000 11111",
    3: "11111 00010 00100 00010 00001 10001 01110",
    4: "00010 00110 01010 10010 11111 00010 00010",
    5: "11111 10000 11110 00001 00001 10001 01110",
    6: "00110 01000 10000 11110 10001 10001 01110",
    7: "11111 00001 00010 00100 01000 01000 01000",
    8: "01110 10001 10001 01110 10001 10001 01110",
    9: "01110 10001 10001 01111 00001 00010 01100",
}
SIZE = 10


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout2d(0.1)
        self.dropout2 = nn.Dropout(0.1)
        self.fc1 = nn.Linear(16 * 3 * 3, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(self.norm(x))
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


def draw(count):
    """Images of digits, each somewhere on a noisy ground, and the digits."""
    data = 0.2 * torch.randn(count, 1, SIZE, SIZE)
    target = torch.randint(0, 10, (count,))
    for i in range(count):
        rows = GLYPHS[target[i].item()].split()
        glyph = torch.tensor([[float(dot) for dot in row] for row in rows])
        top = torch.randint(0, SIZE - 7 + 1, (1,)).item()
        left = torch.randint(0, SIZE - 5 + 1, (1,)).item()
        data[i, 0, top : top + 7, left : left + 5] += glyph
    return data, target


def train(model, device, data, target, optimizer, batch_size):
    model.train()
    order = torch.randperm(len(data))
    total = 0.0
    for start in range(0, len(data), batch_size):
        index = order[start : start + batch_size]
        x, y = data[index].to(device), target[index].to(device)
        optimizer.zero_grad()
        output = model(x)
        loss = F.nll_loss(output, y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)
    return total / len(data)


def test(model, device, data, target):
    model.eval()
    with torch.no_grad():
        output = model(data.to(device))
        loss = F.nll_loss(output, target, reduction="sum").item() / len(data)
        pred = output.argmax(dim=1, keepdim=True)
        correct = pred.eq(target.view_as(pred)).sum().item()
    return loss, correct / len(data)


def main():
    torch.manual_seed(1)
    device = "cpu"
    train_data, test_data = draw(1000), draw(300)
    model = Net().to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    scheduler = StepLR(optimizer, step_size=3, gamma=0.5)
    losses = []
    for epoch in range(1, 6):
        losses.append(train(model, device, *train_data, optimizer, 50))
        loss, accuracy = test(model, device, *test_data)
        print(f"epoch {epoch}: train {losses[-1]:.4f}, test {loss:.4f}, {100 * accuracy:.1f} %")
        scheduler.step()
    assert math.isclose(optimizer.param_groups[0]["lr"], 0.01 * 0.5)
    state = model.state_dict()
    again = Net()
    again.load_state_dict(state)
    assert test(again, device, *test_data)[1] == accuracy
    return losses, accuracy


if __name__ == "__main__":
    main()
