module scripted

go 1.21
