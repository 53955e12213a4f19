package guest

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// What reg query and tasklist print.

var (
	registryValue = lazyregexp.New(`^ {4}(\S+) {4}(REG_SZ|REG_EXPAND_SZ|REG_DWORD)(?: {4}(.*))?$`) // an empty text ends with its type
	processLine   = lazyregexp.New(`(?i)^"` + regexp.QuoteMeta(windows.Process) + `","(\d{1,10})",`)
)

func value(lines []string, v windows.Value, kind string) string {
	for _, line := range lines {
		if m := registryValue.FindStringSubmatch(line); m != nil && strings.EqualFold(m[1], v.Name()) && m[2] == kind {
			return m[3]
		}
	}
	return ""
}

// listed reads a text value of a key whose values were all listed: one that is
// not among them is absent, which means the same as empty.
func listed(lines []string, v windows.Value) *string {
	any := false
	for _, line := range lines {
		m := registryValue.FindStringSubmatch(line)
		any = any || m != nil
		if m != nil && strings.EqualFold(m[1], v.Name()) {
			if m[2] == "REG_DWORD" {
				return nil
			}
			return &m[3]
		}
	}
	if !any {
		return nil
	}
	return new(string)
}

func dword(lines []string, v windows.Value) *int {
	digits, ok := strings.CutPrefix(value(lines, v, "REG_DWORD"), "0x")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return nil
	}
	number := int(n)
	return &number
}

// processes reads tasklist's lines; nil: it is not known. That there are none is
// said in the guest's language, so the mark after a tasklist that worked counts.
func processes(a answer) []int {
	if !a.has("listed") {
		return nil
	}
	ids := []int{}
	for _, line := range a.parts["tasks"] {
		if m := processLine.FindStringSubmatch(line); m != nil {
			id, err := strconv.Atoi(m[1])
			if err != nil {
				return nil
			}
			ids = append(ids, id)
		}
	}
	return ids
}
