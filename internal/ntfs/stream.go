package ntfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// run is a run of clusters of a stream: Count clusters from VCN in the stream
// lie at LCN in the volume, or nowhere (LCN -1, sparse).
type run struct{ VCN, LCN, Count int64 }

// stream is the content of an attribute. It implements io.ReaderAt.
type stream struct {
	v           *Volume
	resident    []byte
	runs        []run // nil: resident
	size        int64
	initialized int64 // zeros from here on
	covered     int64 // bytes the runs reach
	unit        int64 // clusters per compression unit, 0: not compressed
	packed      *wof
	lastUnit    []byte // the compression unit decompressed last
	lastIndex   int64
}

const (
	maxRunBytes = 1 << 62
	maxRuns     = 1 << 18 // of one stream: a file this fragmented is none that Windows made
	maxUnit     = 1 << 20 // bytes; Windows uses 16 clusters of at most 4 KiB
)

func byStart(a, b *attribute) int { return cmp.Compare(a.startVCN, b.startVCN) }

// firstPiece is the piece that has the sizes of the whole.
func firstPiece(pieces []*attribute) *attribute { return slices.MinFunc(pieces, byStart) }

// newStream joins the pieces of an attribute. partial allows that the runs do
// not reach the end yet.
func (v *Volume) newStream(pieces []*attribute, partial bool) (*stream, error) {
	a := pieces[0]
	if !a.nonResident {
		if len(pieces) > 1 {
			return nil, corrupt("resident attribute %#x in %d pieces", a.kind, len(pieces))
		}
		return &stream{v: v, resident: a.value, size: int64(len(a.value))}, nil
	}
	pieces = slices.SortedStableFunc(slices.Values(pieces), byStart)
	a = pieces[0]
	if a.flags&flagEncrypted != 0 {
		return nil, fmt.Errorf("EFS-encrypted content: %w", ErrUnsupported)
	}
	s := &stream{v: v, size: a.size, initialized: a.initialized, runs: []run{}}
	if method := a.flags & flagCompressed; method != 0 {
		if method != 1 || a.unit == 0 || a.unit > 12 || v.cluster<<a.unit > maxUnit {
			return nil, corrupt("compression method %d with units of 2^%d clusters", method, a.unit)
		}
		s.unit = 1 << a.unit
	}
	next := int64(0)
	for _, p := range pieces {
		if !p.nonResident || p.startVCN != next {
			return nil, corrupt("pieces of attribute %#x do not join at cluster %d", a.kind, next)
		}
		var err error
		if s.runs, err = v.decodeRuns(p, s.runs); err != nil {
			return nil, err
		}
		next = p.lastVCN + 1
	}
	s.covered = next * v.cluster
	if s.size < 0 || s.initialized < 0 || s.initialized > s.size {
		return nil, corrupt("stream of %d bytes, %d of them initialized", s.size, s.initialized)
	}
	if !partial && s.covered < s.size {
		return nil, corrupt("runs cover %d of %d bytes", s.covered, s.size)
	}
	return s, nil
}

// decodeRuns appends the runs of one piece (section "Data Runs").
func (v *Volume) decodeRuns(a *attribute, out []run) ([]run, error) {
	if err := v.budget.Spend(int64(len(a.runs)), 0); err != nil {
		return nil, err
	}
	vcn, lcn := a.startVCN, int64(0)
	for b := a.runs; len(b) > 0 && b[0] != 0; {
		lengthBytes, offsetBytes := int(b[0]&15), int(b[0]>>4)
		n := 1 + lengthBytes + offsetBytes
		if lengthBytes == 0 || lengthBytes > 8 || offsetBytes > 8 || n > len(b) {
			return nil, corrupt("run list")
		}
		count := signed(b[1 : 1+lengthBytes])
		if count <= 0 || count > maxRunBytes/v.cluster-vcn {
			return nil, corrupt("run of %d clusters", count)
		}
		r := run{vcn, -1, count}
		if offsetBytes > 0 {
			lcn += signed(b[1+lengthBytes : n])
			if lcn < 0 || lcn >= v.clusters || count > v.clusters-lcn {
				return nil, corrupt("run of %d clusters at %d, the volume has %d", count, lcn, v.clusters)
			}
			r.LCN = lcn
		}
		if len(out) == maxRuns {
			return nil, corrupt("more than %d runs", maxRuns)
		}
		out = append(out, r)
		vcn += count
		b = b[n:]
	}
	if vcn != a.lastVCN+1 {
		return nil, corrupt("runs end at cluster %d, the header says %d", vcn-1, a.lastVCN)
	}
	return out, nil
}

// signed decodes a little-endian two's complement number of 1 to 8 bytes.
func signed(b []byte) int64 {
	var u uint64
	for i, c := range b {
		u |= uint64(c) << (8 * i)
	}
	shift := 64 - 8*len(b)
	return int64(u<<shift) >> shift
}

// ReadAt reads decompressed content; bytes never written read as zeros.
func (s *stream) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	if off >= s.size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > s.size-off {
		p, end = p[:s.size-off], io.EOF
	}
	var err error
	switch {
	case s.packed != nil:
		err = s.packed.read(p, off)
	case s.runs == nil:
		copy(p, s.resident[off:])
	default:
		written := min(max(s.initialized-off, 0), int64(len(p)))
		clear(p[written:])
		if s.unit > 0 {
			err = s.readUnits(p[:written], off)
		} else {
			err = s.readRuns(p[:written], off)
		}
	}
	if err != nil {
		return 0, err
	}
	return len(p), end
}

func (s *stream) readFull(p []byte, off int64) error {
	n, err := s.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// runAt is the index of the run that holds a VCN.
func (s *stream) runAt(vcn int64) int {
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].VCN+s.runs[i].Count > vcn })
}

func (s *stream) readRuns(p []byte, off int64) error {
	c := s.v.cluster
	for i := s.runAt(off / c); len(p) > 0; i++ {
		if i >= len(s.runs) {
			return corrupt("offset %d lies beyond the last run", off)
		}
		r := s.runs[i]
		in := off - r.VCN*c
		n := min(int64(len(p)), r.Count*c-in)
		if r.LCN < 0 {
			clear(p[:n])
		} else if err := s.v.readAt(p[:n], r.LCN*c+in); err != nil {
			return err
		}
		p = p[n:]
		off += n
	}
	return nil
}

// readUnits reads an LZNT1-compressed stream.
func (s *stream) readUnits(p []byte, off int64) error {
	unitBytes := s.unit * s.v.cluster
	for len(p) > 0 {
		unit := off / unitBytes
		if s.lastUnit == nil || s.lastIndex != unit {
			b, err := s.readUnit(unit)
			if err != nil {
				return fmt.Errorf("compression unit %d: %w", unit, err)
			}
			s.lastUnit, s.lastIndex = b, unit
		}
		n := copy(p, s.lastUnit[off-unit*unitBytes:])
		p = p[n:]
		off += int64(n)
	}
	return nil
}

// readUnit decompresses one unit (section "Compressed files"): without
// clusters it is all zeros, with all clusters it is stored plain, else the
// clusters before the hole hold LZNT1.
func (s *stream) readUnit(unit int64) ([]byte, error) {
	c := s.v.cluster
	out := make([]byte, s.unit*c)
	raw := make([]byte, 0, s.unit*c)
	vcn, end := unit*s.unit, (unit+1)*s.unit
	hole := false
	for i := s.runAt(vcn); vcn < end && i < len(s.runs); i++ {
		r := s.runs[i]
		n := min(end, r.VCN+r.Count) - vcn
		switch {
		case r.LCN < 0:
			hole = true
		case hole:
			return nil, corrupt("clusters behind a hole")
		default:
			b := raw[len(raw) : len(raw)+int(n*c)]
			if err := s.v.readAt(b, (r.LCN+vcn-r.VCN)*c); err != nil {
				return nil, err
			}
			raw = raw[:len(raw)+int(n*c)]
		}
		vcn += n
	}
	if !hole || len(raw) == 0 {
		copy(out, raw)
		return out, nil
	}
	return out, lznt1(out, raw)
}
