module poai.example/verify

go 1.19
