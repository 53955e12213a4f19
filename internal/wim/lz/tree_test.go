package lz

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// common is how many bytes, at most so many, two places have in common, one by one.
func common(b []byte, at, place, most int) (n int) {
	for n < most && b[at+n] == b[place+n] {
		n++
	}
	return n
}

func TestATreeFindsTheNearestMatchOfTheLongestLength(t *testing.T) {
	const longest = 40
	r := rand.New(rand.NewPCG(8, 9))
	tree := &Tree{Nice: longest, Longest: longest, Depth: Chunk}
	for _, letters := range []int{1, 2, 4, 200} {
		b := make([]byte, 900)
		for i := range b {
			b[i] = byte(r.IntN(letters))
		}
		copy(b[500:], b[100:400])
		if got := tree.Reset(b); !bytes.Equal(got, b) {
			t.Fatal("the copy is another")
		}
		for at := range b {
			if at%97 == 96 { // some are made known only
				tree.Skip(at, at+1)
				continue
			}
			found := tree.Find(at, nil)
			most := min(len(b)-at, longest)
			want := Match{}
			for place := at - 1; place >= 0; place-- {
				if n := common(b, at, place, most); n > int(want.Length) {
					want = Match{uint16(n), uint16(at - place)}
				}
			}
			last := Match{Length: 1}
			for _, m := range found {
				if m.Length <= last.Length || int(m.Length) > most || int(m.Distance) > at || common(b, at, at-int(m.Distance), int(m.Length)) != int(m.Length) {
					t.Fatalf("%d letters, at %d: %v", letters, at, found)
				}
				last = m
			}
			if want.Length >= 4 && most >= 4 && last != want {
				t.Fatalf("%d letters, at %d of %d: %v, want %v", letters, at, len(b), found, want)
			}
			if want.Length == 2 && most >= 4 && (len(found) != 1 || found[0] != want) {
				t.Fatalf("%d letters, at %d of %d: %v, want %v", letters, at, len(b), found, want)
			}
		}
	}
}
