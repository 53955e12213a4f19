package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func configHive(name string) string { return windows.ConfigFolder.OnVolume() + `\` + name }

// named turns a path of Windows into a name of io/fs.
func named(windows string) string {
	name := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(windows, `\`, "/")), "/")
	if name == "" {
		return "."
	}
	return name
}

// bare is an error without the name of the file, which is said beside it.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// hive is a registry hive, or the reason why there is none.
type hive struct {
	*regf.Hive
	within *budget.Budget
	file   io.Closer
	err    error // wraps fs.ErrNotExist where the file is not there
}

// open opens a hive; logs are the endings of its logs.
func (r *reader) open(path string, logs ...string) *hive {
	h := &hive{within: budget.New(r.ctx, budget.Limits{Bytes: maxHive, Of: "hive data", Items: maxHiveItems, Noun: "keys and values"})}
	f, size, err := r.openFile(path)
	if err != nil {
		h.err = err
		return h
	}
	h.file = f
	var opened []regf.Log
	for _, ending := range logs {
		opened = append(opened, func() ([]byte, error) { return r.readLog(path + ending) })
	}
	if h.Hive, h.err = regf.OpenWithin(h.within, f, size, opened...); h.err == nil {
		h.Blocks(hiveBlock, hiveBlocks)
	}
	return h
}

func (h *hive) close() {
	if h.file != nil {
		h.file.Close()
	}
}

// file is what a hive is read from.
type file interface {
	io.ReaderAt
	io.Closer
}

func (r *reader) openFile(path string) (file, int64, error) {
	f, err := r.fs.Open(named(path))
	if err != nil {
		return nil, 0, bare(err)
	}
	info, err := f.Stat()
	at, ok := f.(file)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("it is no file")
	case !ok:
		err = errors.New("it cannot be read at an offset")
	default:
		return at, info.Size(), nil
	}
	f.Close()
	return nil, 0, bare(err)
}

// readLog reads the log of a hive; one that is not there is empty.
func (r *reader) readLog(path string) ([]byte, error) {
	f, size, err := r.openFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > maxHiveLog {
		return nil, fmt.Errorf("a log of %d bytes; at most %d are read", size, maxHiveLog)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return b, err
}

// gathering is a source that is being read.
type gathering struct {
	r *reader
	Source
	there bool
}

// source reads one place and notes how that went.
func (r *reader) source(id, where string, read func(g *gathering)) {
	g := &gathering{r: r, Source: Source{ID: id, Where: where, State: Read}}
	read(g)
	switch {
	case len(g.Reasons) > 0:
		g.State = Unreadable
	case !g.there:
		g.State = Absent
	}
	r.inv.Sources = append(r.inv.Sources, g.Source)
}

// fail notes what could not be read; what is absent is not.
func (g *gathering) fail(what string, err error) {
	if err == nil || errors.Is(err, regf.ErrNotExist) {
		return
	}
	text := err.Error()
	if what != "" {
		text = what + ": " + text
	}
	text = budget.Cut(text, maxReason)
	if len(g.Reasons) < maxReasons && !slices.Contains(g.Reasons, text) {
		g.Reasons = append(g.Reasons, text)
	}
}

// usable says whether a hive can be read; the reason why not is noted.
func (g *gathering) usable(h *hive) bool {
	if h.err != nil {
		g.fail("the registry hive", h.err)
	}
	return h.err == nil
}

// key returns nil where the key is absent or cannot be read.
func (g *gathering) key(h *hive, path string) *regf.Key {
	if !g.usable(h) {
		return nil
	}
	k, err := h.Key(path)
	if err != nil {
		g.fail(path, err)
		return nil
	}
	g.there = true
	return k
}

// each visits the keys below a key that may be absent.
func (g *gathering) each(h *hive, path string, visit func(k *regf.Key)) {
	if k := g.key(h, path); k != nil {
		g.eachOf(k, visit)
	}
}

func (g *gathering) eachOf(k *regf.Key, visit func(k *regf.Key)) {
	n := 0
	g.fail("", k.EachSubkey(func(sub *regf.Key) bool {
		if n++; n > maxEntries {
			g.fail(k.Name(), fmt.Errorf("more than %d keys: %w", maxEntries, budget.ErrExceeded))
			return false
		}
		visit(sub)
		return g.r.kept.Err() == nil
	}))
	g.fail(k.Name(), g.r.kept.Err())
}

// values are those of a key, by their names in lower case.
type values map[string]*regf.Value

func (g *gathering) values(k *regf.Key) values {
	list, err := k.Values()
	g.fail("", err)
	all := make(values, len(list))
	for _, v := range list {
		all[strings.ToLower(v.Name)] = v
	}
	return all
}

// text is the text of a value; empty where it is absent or no text, for installers write
// what they like.
func (g *gathering) text(in values, name string) string {
	v := in[strings.ToLower(name)]
	if v == nil {
		return ""
	}
	s, err := v.Text(maxText)
	if errors.Is(err, regf.ErrType) {
		return ""
	}
	g.fail(name, err)
	return g.keep(strings.TrimSpace(s))
}

// keep counts a text that stays in the inventory; it is left out where there is too much.
func (g *gathering) keep(s string) string {
	if g.r.kept.Spend(int64(len(s)), 0) != nil {
		return ""
	}
	return s
}

// number is the number of a value, if it has one.
func (g *gathering) number(in values, name string) (uint32, bool) {
	v := in[strings.ToLower(name)]
	if v == nil {
		return 0, false
	}
	n, err := v.AsDWord()
	if errors.Is(err, regf.ErrType) {
		return 0, false
	}
	g.fail(name, err)
	return n, err == nil
}

// folders visits the folders in a folder that may be absent.
func (g *gathering) folders(path string, visit func(name string)) {
	f, err := g.r.fs.Open(named(path))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		g.fail(path, bare(err))
		return
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		g.fail(path, errors.New("it is no folder"))
		return
	}
	g.there = true
	for n := 0; ; {
		entries, err := dir.ReadDir(256)
		for _, e := range entries {
			if e.Type()&fs.ModeIrregular != 0 { // it may have been a folder
				_, err := e.Info()
				g.fail(path+`\`+e.Name(), cmp.Or(bare(err), errors.New("it is neither a file nor a folder")))
			}
			if !e.IsDir() {
				continue
			}
			if n++; n > maxEntries {
				g.fail(path, fmt.Errorf("more than %d folders: %w", maxEntries, budget.ErrExceeded))
				return
			}
			if visit(e.Name()); g.r.kept.Err() != nil {
				g.fail(path, g.r.kept.Err())
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err == nil:
			err = g.r.ctx.Err()
		}
		if err != nil {
			g.fail(path, bare(err))
			return
		}
	}
}
