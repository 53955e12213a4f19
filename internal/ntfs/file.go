package ntfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// file is a file or directory.
type file struct {
	v   *Volume
	rec *record
}

// info reads size and times, for a file that was opened by that name.
func (f *file) info(name string) (fileInfo, error) {
	pieces, err := f.pieces(kindStandardInformation, "")
	if err != nil {
		return fileInfo{}, fmt.Errorf("reading $STANDARD_INFORMATION of record %d: %w", f.rec.number, err)
	}
	b := pieces[0].value
	if len(b) < 36 {
		return fileInfo{}, corrupt("$STANDARD_INFORMATION of record %d has %d bytes", f.rec.number, len(b))
	}
	info := fileInfo{f: f, name: path.Base(name), mode: 0o444, created: fileTime(le.Uint64(b)), modified: fileTime(le.Uint64(b[8:]))}
	link, err := f.isLink()
	switch {
	case err != nil:
		return fileInfo{}, err
	case link:
		info.mode |= fs.ModeSymlink
	case f.rec.directory:
		info.mode |= fs.ModeDir | 0o111
	}
	if f.rec.directory {
		return info, nil
	}
	data, err := f.pieces(kindData, "")
	if errors.Is(err, fs.ErrNotExist) && f.rec.viewIndex {
		return info, nil
	}
	if err != nil {
		return fileInfo{}, fmt.Errorf("reading size of record %d: %w", f.rec.number, err)
	}
	first := firstPiece(data)
	info.size = int64(len(first.value))
	if first.nonResident {
		info.size = first.size
	}
	if info.size < 0 {
		return fileInfo{}, corrupt("record %d has a size of %d bytes", f.rec.number, info.size)
	}
	return info, nil
}

// fileTime converts 100 ns units since 1601 into a time.
func fileTime(ft uint64) time.Time {
	const unixEpoch = 116444736000000000
	if ft == 0 || ft > 1<<62 {
		return time.Time{}
	}
	ticks := int64(ft) - unixEpoch
	return time.Unix(ticks/1e7, ticks%1e7*100).UTC()
}

// open opens a data stream; the empty name is the file's content. Content
// compressed by the Windows overlay filter (CompactOS) is decompressed; that
// behind other reparse points is ErrUnsupported. The error for a missing
// stream wraps fs.ErrNotExist.
func (f *file) open(name string) (*stream, error) {
	if name == "" {
		if s, err := f.openReparsed(); s != nil || err != nil {
			return s, err
		}
	}
	pieces, err := f.pieces(kindData, name)
	if err != nil {
		return nil, err
	}
	return f.v.newStream(pieces, false)
}

// listEntry is one entry of an attribute list (section "$ATTRIBUTE_LIST").
type listEntry struct {
	kind     uint32
	name     string
	startVCN int64
	ref      uint64
	id       uint16
}

const maxAttributeList = 256 << 10 // as Windows has it

func (f *file) attributeList() ([]listEntry, error) {
	a := f.rec.find(kindAttributeList)
	b := a.value
	if a.nonResident {
		s, err := f.v.newStream([]*attribute{a}, false)
		if err != nil {
			return nil, err
		}
		if s.size > maxAttributeList {
			return nil, corrupt("attribute list of %d bytes", s.size)
		}
		b = make([]byte, s.size)
		if err := s.readFull(b, 0); err != nil {
			return nil, err
		}
	}
	if err := f.v.budget.Spend(int64(len(b)), 0); err != nil {
		return nil, err
	}
	var out []listEntry
	for len(b) > 0 {
		if len(b) < 26 {
			return nil, corrupt("attribute list is cut off")
		}
		length, nameLen, nameOff := int(le.Uint16(b[4:])), 2*int(b[6]), int(b[7])
		if length < 26 || length > len(b) || nameLen > 0 && nameOff+nameLen > length {
			return nil, corrupt("attribute list entry of %d bytes", length)
		}
		e := listEntry{kind: le.Uint32(b), startVCN: int64(le.Uint64(b[8:])), ref: le.Uint64(b[16:]), id: le.Uint16(b[24:])}
		if nameLen > 0 {
			e.name = decodeUTF16(b[nameOff : nameOff+nameLen])
		}
		out = append(out, e)
		b = b[length:]
	}
	return out, nil
}

// pieces collects the pieces of one attribute over all records of the file.
// With an error it returns those found before; without any, fs.ErrNotExist.
func (f *file) pieces(kind uint32, name string) ([]*attribute, error) {
	var out []*attribute
	if f.rec.find(kindAttributeList) == nil {
		for _, a := range f.rec.attributes {
			if a.kind == kind && a.name == name {
				out = append(out, a)
			}
		}
	} else {
		list, err := f.attributeList()
		if err != nil {
			return nil, fmt.Errorf("attribute list of record %d: %w", f.rec.number, err)
		}
		for _, e := range list {
			if e.kind != kind || e.name != name {
				continue
			}
			a, err := f.listed(e)
			if err != nil {
				return out, fmt.Errorf("attribute list of record %d: %w", f.rec.number, err)
			}
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("attribute %#x %q of record %d: %w", kind, name, f.rec.number, fs.ErrNotExist)
	}
	return out, nil
}

// listed returns the attribute that an entry of the attribute list names.
func (f *file) listed(e listEntry) (*attribute, error) {
	rec := f.rec
	if int64(e.ref&refNumber) != rec.number {
		var err error
		if rec, err = f.v.referenced(e.ref); err != nil {
			return nil, err
		}
		if int64(rec.base&refNumber) != f.rec.number {
			return nil, corrupt("MFT record %d belongs to record %d", rec.number, rec.base&refNumber)
		}
	}
	for _, a := range rec.attributes {
		if a.kind == e.kind && a.id == e.id && a.name == e.name && (!a.nonResident || a.startVCN == e.startVCN) {
			return a, nil
		}
	}
	return nil, corrupt("MFT record %d does not have attribute %#x %q of cluster %d", rec.number, e.kind, e.name, e.startVCN)
}
