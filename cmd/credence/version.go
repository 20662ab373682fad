package main

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// version is set by release builds.
var version string

type versionCommand struct{}

func (versionCommand) Run(o output) error {
	built := "development"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		built = info.Main.Version
	}
	o.printf("credence %s %s %s/%s\n", cmp.Or(version, built), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
