package diagnosis

// Entry is a cause of the catalogue, for those who list it. Words in braces in Title,
// Remedy and patterns are filled from what the log says.
type Entry struct {
	ID, Name string
	Phase    Phase
	Title    string
	// Line and Weak are the patterns of its lines (RE2, matched without regard to case):
	// Weak counts where no Line of another cause matches. Step is held against "entry of
	// DLL" of what has begun and not ended.
	Line, Weak, Step string
	// Module is the DLL whose failure it explains; empty: any.
	Module string
	// External: only providers that are no part of Windows.
	External bool
	// By is who tells a cause that no line shows: "verdict", "pre-flight", "hang".
	By     string
	Remedy []string
	Source string
	// Unconfirmed: neither the vendor's documents nor a complete log support it.
	Unconfirmed bool
	// Generic causes lose to all others, and Notices count where nothing failed.
	Generic, Notice bool
}

// Entries lists the catalogue, a specific cause before a general one.
func Entries() []Entry {
	var all []Entry
	for _, c := range catalogue() {
		module := c.module
		if module == noModule {
			module = ""
		}
		all = append(all, Entry{
			ID: c.id, Name: c.name, Phase: c.phase, Title: c.title, Line: c.pattern, Weak: c.weak, Step: c.hang,
			Module: module, External: c.external, By: string(c.by), Remedy: c.remedy, Source: c.source,
			Unconfirmed: c.unconfirmed, Generic: c.generic, Notice: c.anyLevel,
		})
	}
	return all
}
