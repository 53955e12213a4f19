package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// known are the licences that may be linked, each told by words that its text has. Those that
// ask for more than a notice and the module's own source are left out on purpose: one of them
// fails the release, and a person decides.
var known = []struct {
	spdx  string
	words []string
}{
	{"Apache-2.0", []string{"Apache License", "Version 2.0, January 2004"}},
	{"Apache-2.0", []string{"Licensed under the Apache License, Version 2.0"}}, // which a text may only refer to
	{"MPL-2.0", []string{"Mozilla Public License", "ersion 2.0", "Covered Software"}},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining", `THE SOFTWARE IS PROVIDED "AS IS"`}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "endorse or promote"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}},
}

// refused are words of licences that no text of a linked module may have as its title.
var refused = []string{
	"GNU AFFERO GENERAL PUBLIC LICENSE", "GNU GENERAL PUBLIC LICENSE", "GNU LESSER GENERAL PUBLIC LICENSE",
	"Business Source License", "Server Side Public License", "Elastic License",
}

// classify names the licences of a module's texts as an expression of SPDX.
func classify(texts []string) (string, error) {
	var all []string
	for _, text := range texts {
		ids, err := licencesOf(text)
		if err != nil {
			return "", err
		}
		all = append(all, ids...)
	}
	if len(all) == 0 {
		return "", errors.New("no licence was found; ask its authors, or use another module")
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " AND "), nil
}

// licencesOf names the licences of one text, which may have several one after the other.
func licencesOf(text string) (ids []string, err error) {
	// Line breaks differ from copy to copy, and so do quotation marks.
	plain := strings.Join(strings.Fields(strings.NewReplacer("“", `"`, "”", `"`, "``", `"`, "''", `"`).Replace(text)), " ")
	if i := slices.IndexFunc(refused, func(title string) bool { return strings.Contains(head(plain), title) }); i >= 0 {
		return nil, fmt.Errorf("its licence is %q, which the plugin cannot link; use another module", refused[i])
	}
	for _, k := range known {
		if k.spdx == "BSD-2-Clause" && slices.Contains(ids, "BSD-3-Clause") {
			continue // the shorter of the two is the beginning of the longer
		}
		if !slices.ContainsFunc(k.words, func(w string) bool { return !strings.Contains(plain, w) }) {
			ids = append(ids, k.spdx)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("a licence that tools/release/classify.go does not know, beginning %q; read it, and add it there if it may be linked", head(plain))
	}
	return ids, nil
}

// head is where a licence has its title.
func head(text string) string { return text[:min(len(text), 200)] }
