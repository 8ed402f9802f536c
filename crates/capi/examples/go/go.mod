module github.com/connlimit/connlimit/crates/capi/examples/go

go 1.19
