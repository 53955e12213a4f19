package main

// provenance says how the release was built: an in-toto statement
// (https://in-toto.io/Statement/v1) with SLSA's provenance
// (https://slsa.dev/spec/v1.0/provenance). It is not signed by itself: its sum is in
// SHA256SUMS, which is, and the workflow attests the zips with the code host's own key.
func (r release) provenance(zips []artifact, goVersion string) any {
	type object = map[string]any
	subjects := make([]object, 0, len(zips))
	for _, z := range zips {
		subjects = append(subjects, object{"name": z.name, "digest": object{"sha256": z.sha256}})
	}
	source := object{"uri": "git+https://" + module, "name": "source"}
	if r.commit != "" {
		source["digest"] = object{"gitCommit": r.commit}
	}
	return object{
		"_type":         "https://in-toto.io/Statement/v1",
		"subject":       subjects,
		"predicateType": "https://slsa.dev/provenance/v1",
		"predicate": object{
			"buildDefinition": object{
				"buildType": "https://" + module + "/blob/main/docs/development.md#release",
				"externalParameters": object{
					"version": r.version, "platforms": r.platforms, "sourceDateEpoch": r.time.Unix(),
				},
				"internalParameters":   object{"ldflags": r.ldflags(), "go": goVersion},
				"resolvedDependencies": []object{source},
			},
			"runDetails": object{
				"builder": object{"id": "https://" + module + "/tree/main/tools/release"},
			},
		},
	}
}
