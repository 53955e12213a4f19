// Package released lists the platforms that the plugin is released for.
package released

import (
	"fmt"
	"slices"
	"strings"
)

// Platforms are GOOS/GOARCH, sorted: those of HashiCorp's plugins in Go, such as
// packer-plugin-qemu (.release/*-artifacts.hcl), and arm64 where Go has it.
var Platforms = []string{
	"darwin/amd64", "darwin/arm64",
	"freebsd/386", "freebsd/amd64", "freebsd/arm", "freebsd/arm64",
	"linux/386", "linux/amd64", "linux/arm", "linux/arm64",
	"netbsd/386", "netbsd/amd64", "netbsd/arm",
	"openbsd/386", "openbsd/amd64", "openbsd/arm",
	"solaris/amd64",
	"windows/386", "windows/amd64", "windows/arm64",
}

// Choose returns the platforms of a list with commas, sorted and each once. An empty list
// stands for all of them.
func Choose(list string) ([]string, error) {
	if strings.TrimSpace(list) == "" {
		return Platforms, nil
	}
	var chosen []string
	for _, p := range strings.Split(list, ",") {
		p = strings.TrimSpace(p)
		if !slices.Contains(Platforms, p) {
			return nil, fmt.Errorf("the plugin is not released for %q; name platforms such as linux/amd64, with commas between them, out of: %s",
				p, strings.Join(Platforms, ", "))
		}
		chosen = append(chosen, p)
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), nil
}
