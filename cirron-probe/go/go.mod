module github.com/cirron/cirron-agent/cirron-probe/go

go 1.20
