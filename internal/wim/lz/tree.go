package lz

// Match is a repeat of Length bytes that began Distance bytes before.
type Match struct{ Length, Distance uint16 }

// Tree finds the repeats within a chunk that are worth a choice: of each length the nearest.
// Places whose first four bytes have one hash make a binary tree, sorted by what stands
// there, the last of them at its root; of two and three bytes the last place is known.
// It is slower than a Matcher and finds more. It is not safe for concurrent use.
type Tree struct {
	window
	head2 [1 << 16]uint16 // a place and 1; 0: none
	head3 [1 << bits3]uint16
	head4 [1 << bits4]uint16 // the root
	child [2 * Chunk]uint16  // the smaller and the greater one of a place, likewise
	// Nice is the length that ends a search, Longest that of the longest match, and Depth
	// how many places of a tree are looked at.
	Nice, Longest, Depth int
}

// Reset begins with another chunk, at most Chunk bytes, and returns the tree's copy of it,
// which may be changed before the first search.
func (t *Tree) Reset(src []byte) []byte {
	t.fill(src)
	clear(t.head2[:])
	clear(t.head3[:])
	clear(t.head4[:])
	return t.src[:t.n:t.n]
}

// Two tells whether the two bytes at a place are those distance bytes before.
func (t *Tree) Two(at, distance int) bool {
	return uint16(t.four(at)) == uint16(t.four(at-distance))
}

// Common is how many bytes, at most so many, at a place are those distance bytes before.
func (t *Tree) Common(at, distance, most int) int {
	return t.common(at, at-distance, 0, most)
}

// Find makes a place known and appends the matches there, each longer than the one before.
// Places are asked for one after the other, none twice.
func (t *Tree) Find(at int, into []Match) []Match {
	most := min(t.n-at, t.Longest)
	if most < 4 {
		return into
	}
	v := t.four(at)
	two, three := &t.head2[uint16(v)], &t.head3[v<<8*prime>>(32-bits3)]
	best := 1
	if place := int(*two) - 1; place >= 0 {
		into = append(into, Match{2, uint16(at - place)})
		best = 2
	}
	if place := int(*three) - 1; place >= 0 && (t.four(place)^v)<<8 == 0 {
		if len(into) > 0 && best == 2 && into[len(into)-1].Distance == uint16(at-place) {
			into = into[:len(into)-1] // the longer one does for both
		}
		into = append(into, Match{3, uint16(at - place)})
	}
	*two, *three = uint16(at+1), uint16(at+1)
	return t.insert(at, v, most, into, true)
}

// Skip makes places known without looking for matches there.
func (t *Tree) Skip(from, to int) {
	for at := from; at < to; at++ {
		most := min(t.n-at, t.Nice)
		if most < 4 {
			return
		}
		v := t.four(at)
		t.head2[uint16(v)] = uint16(at + 1)
		t.head3[v<<8*prime>>(32-bits3)] = uint16(at + 1)
		t.insert(at, v, most, nil, false)
	}
}

// insert makes a place the root of its tree: what was there is split into what is smaller
// and what is greater on the way down to where the place would have been.
func (t *Tree) insert(at int, v uint32, most int, into []Match, found bool) []Match {
	root := &t.head4[v*prime>>(32-bits4)]
	next := int(*root)
	*root = uint16(at + 1)
	smaller, greater := &t.child[2*at&(2*Chunk-1)], &t.child[(2*at+1)&(2*Chunk-1)]
	// What is common to all below on one side of a place is common to the place, too.
	ofSmaller, ofGreater := 0, 0
	best, nice := 3, min(t.Nice, most)
	for depth := t.Depth; next != 0 && depth > 0; depth-- {
		place := next - 1
		children := t.child[2*place&(2*Chunk-2):][:2]
		n := min(ofSmaller, ofGreater)
		if t.src[at+n] == t.src[place+n] {
			n = t.common(at, place, n+1, most)
			if n > best {
				best = n
				if found {
					into = append(into, Match{uint16(n), uint16(at - place)})
				}
			}
			if n >= nice {
				*smaller, *greater = children[0], children[1]
				return into
			}
		}
		if t.src[place+n] < t.src[at+n] {
			*smaller, smaller, ofSmaller = uint16(next), &children[1], n
			next = int(*smaller)
		} else {
			*greater, greater, ofGreater = uint16(next), &children[0], n
			next = int(*greater)
		}
	}
	*smaller, *greater = 0, 0
	return into
}
