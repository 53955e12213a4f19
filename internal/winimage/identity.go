package winimage

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
)

// Identity is what tells one machine from another. None of it refuses an image:
// most is made anew at the first boot only.
type Identity struct {
	// MachineSID is the SID of the local accounts' domain, by the hive SAM or,
	// where that has none, SECURITY.
	MachineSID   string `json:"machine_sid,omitempty"`
	ComputerName string `json:"computer_name,omitempty"`
	MachineGUID  string `json:"machine_guid,omitempty"`
	WSUSClientID string `json:"wsus_client_id,omitempty"`
	// Accounts are the local accounts.
	Accounts []string `json:"accounts,omitempty"`
	// Profiles are the folders of the profiles that Windows knows.
	Profiles []string `json:"profiles,omitempty"`
}

// Change is one fact of the identity beside that of the source.
type Change struct {
	Name string `json:"name"`
	// State is same, changed, gone or new; unknown where no disk says it.
	State string `json:"state"`
	Was   string `json:"was,omitempty"`
	Is    string `json:"is,omitempty"`
	// Note says what is known of it. Belief: no document says so.
	Note   string `json:"note,omitempty"`
	Belief bool   `json:"belief,omitempty"`
}

// readIdentity reads the hives that only it needs, SAM and SECURITY, and takes
// the rest from the opened ones. A hive that is not there has nothing.
func (d *drive) readIdentity(system, software *registry) (i Identity) {
	i.ComputerName = system.text(controlSet(system)+`\Control\ComputerName\ComputerName`, "ComputerName")
	i.MachineGUID = software.text(`Microsoft\Cryptography`, "MachineGuid")
	i.WSUSClientID = software.text(`Microsoft\Windows\CurrentVersion\WindowsUpdate`, "SusClientId")
	const profiles = `Microsoft\Windows NT\CurrentVersion\ProfileList`
	software.each(profiles, func(k *regf.Key) {
		if path := software.text(profiles+`\`+k.Name(), "ProfileImagePath"); path != "" {
			i.Profiles = append(i.Profiles, path)
		}
	})
	if d.exists(hivePath("SAM")) {
		sam := d.openHive("SAM")
		const account = `SAM\Domains\Account`
		// The value V of a domain ends with the three numbers of its SID.
		if v := sam.bytes(account, "V"); len(v) >= 12 {
			i.MachineSID = localSID(v[len(v)-12:])
		}
		sam.each(account+`\Users\Names`, func(k *regf.Key) { i.Accounts = append(i.Accounts, budget.Cut(k.Name(), maxSetting)) })
		sam.close()
	}
	if i.MachineSID == "" && d.exists(hivePath(securityHive)) {
		security := d.openHive(securityHive)
		// Revision, four numbers, authority 5, and 21 as the first number.
		if v := security.bytes(`Policy\PolAcDmS`, ""); len(v) == 24 && string(v[:12]) == "\x01\x04\x00\x00\x00\x00\x00\x05\x15\x00\x00\x00" {
			i.MachineSID = localSID(v[12:])
		}
		security.close()
	}
	return i
}

func localSID(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("S-1-5-21-%d-%d-%d", le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]))
}

// each visits the first keys below a key.
func (r *registry) each(path string, visit func(*regf.Key)) {
	k := r.key(path)
	if k == nil {
		return
	}
	n := 0
	r.note(path, k.EachSubkey(func(sub *regf.Key) bool {
		visit(sub)
		n++
		return n < maxList
	}))
}

func (r *registry) bytes(path, name string) []byte {
	v := r.value(path, name)
	if v == nil || v.Size() > maxText {
		return nil
	}
	b, err := v.Data()
	r.note(path+`\`+name, err)
	return b
}

// Against says of every fact of an identity what became of that of the source,
// a pure function. Of several installations those of the same partition are
// compared.
func Against(image, source Facts) (changes []Change) {
	one := func(name, was, is, note string, belief bool) {
		if was != "" || is != "" {
			changes = append(changes, Change{Name: name, State: became(was, is), Was: was, Is: is, Note: note, Belief: belief})
		}
	}
	list := func(name string, was, is []string, note string) {
		for _, w := range was {
			now := ""
			if slices.ContainsFunc(is, func(i string) bool { return strings.EqualFold(i, w) }) {
				now = w
			}
			one(name, w, now, note, true)
		}
		for _, i := range is {
			if !slices.ContainsFunc(was, func(w string) bool { return strings.EqualFold(i, w) }) {
				one(name, "", i, note, true)
			}
		}
	}
	for _, now := range image.Windows {
		at := slices.IndexFunc(source.Windows, func(w Windows) bool {
			return w.Partition == now.Partition || len(image.Windows) == 1 && len(source.Windows) == 1
		})
		if at < 0 {
			continue
		}
		is, was := now.Identity, source.Windows[at].Identity
		one("machine SID", was.MachineSID, is.MachineSID, "a new one is created at the first boot", false)
		one("computer name", was.ComputerName, is.ComputerName, "specialize sets a new one at the first boot", false)
		one("MachineGuid", was.MachineGUID, is.MachineGUID, "generalize, or the first boot, makes a new one", true)
		one("WSUS client id", was.WSUSClientID, is.WSUSClientID, "the same one on two machines makes WSUS count them as one", true)
		changes = append(changes, kmsClient(now))
		list("local account", was.Accounts, is.Accounts, "generalize keeps local accounts")
		list("profile", was.Profiles, is.Profiles, "generalize keeps profiles")
	}
	list("boot entry", entriesOf(source), entriesOf(image), "generalize may keep the identifiers")
	return changes
}

// kmsClient is what a disk says of the KMS client machine id (CMID): nothing, as
// Windows keeps it in the encrypted store of its licensing service, but whether
// generalize made a new one (Microsoft, "SkipRearm").
func kmsClient(w Windows) Change {
	c := Change{Name: "KMS client id", State: "unknown", Note: `it is in the encrypted store of the licensing service (\Windows\System32\spp\store), which only Windows itself reads: slmgr /dlv in the guest; `}
	unread := slices.ContainsFunc(w.Hives, func(h Hive) bool { return h.Name == "SOFTWARE" && h.Problem != "" })
	switch {
	case w.SkipRearm != nil && *w.SkipRearm == 1:
		c.Note += "SkipRearm is 1, so that generalize keeps it and all clones share it"
	case unread:
		c.Note += "whether SkipRearm is set could not be read"
	default:
		c.Note += "SkipRearm is not set, so that generalize makes a new one"
	}
	return c
}

func entriesOf(r Facts) (ids []string) {
	if r.Boot == nil {
		return nil
	}
	for _, e := range r.Boot.Entries {
		if !slices.Contains(ids, e.ID) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func became(was, is string) string {
	switch {
	case was == "":
		return "new"
	case is == "":
		return "gone"
	case strings.EqualFold(was, is):
		return "same"
	}
	return "changed"
}

// line says a change to a person.
func (c Change) line() string {
	text := c.Name + " " + c.State
	switch c.State {
	case "changed":
		text += ": " + c.Was + " became " + c.Is
	case "gone":
		text += ": " + c.Was
	case "unknown":
	default:
		text += ": " + c.Is
	}
	if c.Note != "" {
		text += " (" + c.Note
		if c.Belief {
			text += "; belief, no document says so"
		}
		text += ")"
	}
	return text
}
