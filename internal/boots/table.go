package boots

import (
	"slices"
	"strings"
)

// Row is a target in words, for documents.
type Row struct {
	Name, Title string
	// Starts is the partition table that it asks for, Storage the ways to the disk and
	// Refuses what of it makes the verdict no.
	Starts, Storage, Refuses string
	// Besides are what is warned of.
	Besides string
	Sources []string
	// Unconfirmed: part of it has no source of its own.
	Unconfirmed bool
}

// Table are all targets in words.
func Table() (list []Row) {
	for _, name := range Names() {
		if two, ok := either[name]; ok {
			list = append(list, Row{Name: name, Title: two[0] + " or " + two[1] + ", whichever the disk is made for", Starts: "either"})
			continue
		}
		t, _ := find(name)
		list = append(list, t.words())
	}
	return list
}

// code are names in the form of Markdown.
func code(names []string, between string) string {
	return "`" + strings.Join(names, "`"+between+"`") + "`"
}

func (t row) words() Row {
	w := Row{Name: t.id, Title: t.title, Sources: t.sources, Unconfirmed: t.unconfirmed}
	w.Starts = map[startup]string{anyStartup: "either", bios: "MBR, active partition", uefi: "GPT, EFI system partition", mostlyUEFI: "GPT; MBR is a doubt"}[t.start]
	var refuses []string
	if t.start == bios || t.start == uefi {
		refuses = append(refuses, "another partition table")
	}
	if t.start == uefi {
		refuses = append(refuses, "no boot manager")
	}
	var ways []string
	for _, one := range t.ways {
		text := code(one.services, " + ")
		if len(one.ids) > 0 {
			text += ", bound to " + code(one.ids, " or ")
		}
		ways = append(ways, text)
	}
	w.Storage = strings.Join(ways, "; or ")
	switch t.missing {
	case failAny:
		refuses = append(refuses, "a driver or its file is missing")
	case failAll:
		refuses = append(refuses, "all drivers are missing")
	case failBare:
		refuses = append(refuses, "driver, file and binding are missing")
	}
	if t.card != nil {
		refuses = append(refuses, "driver, file and binding of the network card are missing")
	}
	if t.azure {
		refuses = append(refuses, "the file is no fixed VHD of whole MiB")
	}
	if len(t.ways) > 0 {
		refuses = append(refuses, "a class filter is missing")
	}
	if t.authority != "" {
		w.Starts, w.Storage = "GPT, EFI system partition", "not asked"
		refuses = []string{"the boot manager is not signed by " + t.authority}
	}
	w.Refuses = strings.Join(refuses, "; ")
	var besides []string
	for _, g := range t.besides {
		besides = append(besides, g.title+" ("+code(slices.Concat(g.services, g.programs), ", ")+")")
	}
	if t.azure {
		besides = append(besides, "SAN policy", "BitLocker")
	}
	if t.signer {
		besides = append(besides, "signature for Secure Boot")
	}
	if len(t.ways) > 0 {
		besides = append(besides, "class filters of others")
	}
	w.Besides = strings.Join(besides, "; ")
	return w
}
