package winimage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// registry is an open hive whose absent values are absent and whose damaged
// ones are problems.
type registry struct {
	notes  *notes
	found  Hive
	path   string
	hive   *regf.Hive // nil where it could not be opened
	file   *content
	within *budget.Budget
}

func hivePath(name string) string { return windows.ConfigFolder.OnVolume() + `\` + name }

// openHive opens a hive of the drive; one that cannot be read has no values.
func (d *drive) openHive(name string) *registry {
	return d.openHiveAt(name, hivePath(name), ".LOG1", ".LOG2")
}

// openHiveAt opens a hive that lies elsewhere; logs are the endings of its logs.
func (d *drive) openHiveAt(name, path string, logs ...string) *registry {
	r := &registry{notes: &d.notes, found: Hive{Name: name}, path: path, within: hiveBudget(d.ctx)}
	err := r.open(d, logs)
	if err != nil {
		r.found.Problem, r.found.Broken = budget.Cut(err.Error(), maxShown), !errors.Is(err, fs.ErrNotExist)
		if limited(err) {
			r.notes.limit("registry hive "+name, err)
		}
		return r
	}
	r.found.Clean, r.found.Replayed = r.hive.Clean(), r.hive.Replayed()
	return r
}

func (r *registry) open(d *drive, endings []string) (err error) {
	path := r.path
	if r.file, err = d.open(path); err != nil {
		return err
	}
	var logs []regf.Log
	for _, ending := range endings {
		logs = append(logs, func() ([]byte, error) {
			if !d.exists(path + ending) {
				return nil, nil
			}
			return d.read(path+ending, maxHiveLog)
		})
	}
	r.hive, err = regf.OpenWithin(r.within, r.file, r.file.size, logs...)
	head := make([]byte, 512)
	if n, _ := r.file.ReadAt(head, 0); err != nil && n == len(head) && len(bytes.Trim(head, "\x00")) == 0 {
		return fmt.Errorf("%w (it begins with zeros: the disk was copied in part, or the machine was killed)", err)
	}
	return err
}

// close says how the hive was found, and whether it was read to its end.
func (r *registry) close() Hive {
	if r.file != nil {
		r.file.Close()
	}
	if err := r.within.Err(); r.hive != nil && limited(err) {
		r.notes.limit("registry hive "+r.found.Name, err)
		r.found.Problem = err.Error()
	}
	return r.found
}

// key returns nil where the key is absent or cannot be read; only the latter
// is a problem.
func (r *registry) key(path string) *regf.Key {
	if r.hive == nil {
		return nil
	}
	k, err := r.hive.Key(path)
	if err != nil {
		r.note(path, err)
		return nil
	}
	return k
}

// note takes down what could not be read, as opposed to what is absent.
func (r *registry) note(what string, err error) {
	// One that is read no further is a limit, noted once.
	if err != nil && !errors.Is(err, regf.ErrNotExist) && r.within.Err() == nil {
		r.notes.missed(r.found.Name+`\`+what, err)
	}
}

// value returns nil where the value is absent or cannot be read.
func (r *registry) value(path, name string) *regf.Value {
	if r.hive == nil {
		return nil
	}
	k, err := r.hive.Key(path)
	if err == nil {
		var v *regf.Value
		if v, err = k.Value(name); err == nil {
			return v
		}
	}
	r.note(path+`\`+name, err)
	return nil
}

func (r *registry) text(path, name string) string {
	v := r.value(path, name)
	if v == nil {
		return ""
	}
	s, err := v.Text(maxText)
	r.note(path+`\`+name, err)
	return s
}

func (r *registry) number(path, name string) *uint32 {
	v := r.value(path, name)
	if v == nil {
		return nil
	}
	n, err := v.AsDWord()
	r.note(path+`\`+name, err)
	if err != nil {
		return nil
	}
	return &n
}

func (r *registry) has(path, name string) bool { return r.value(path, name) != nil }

// both are the hives in which Windows says what it is.
type both struct{ system, software *registry }

func (b both) in(v windows.Value) (r *registry, path, name string) {
	hive, path := v.Offline()
	if r = b.system; hive == b.software.found.Name {
		r = b.software
	}
	return r, path, v.Name()
}

func (b both) text(v windows.Value) string {
	r, path, name := b.in(v)
	return r.text(path, name)
}

func (b both) number(v windows.Value) *uint32 {
	r, path, name := b.in(v)
	return r.number(path, name)
}

func (b both) has(v windows.Value) bool {
	r, path, name := b.in(v)
	return r.has(path, name)
}
