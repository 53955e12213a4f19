package regf

import (
	"bytes"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// bins is the hive bins data of bins that have these numbers of pages.
func bins(pages ...int) []byte {
	b := make([]byte, baseSize)
	for _, n := range pages {
		at := len(b)
		b = append(b, make([]byte, n*pageSize)...)
		copy(b[at:], "hbin")
		le.PutUint32(b[at+4:], uint32(at-baseSize))
		le.PutUint32(b[at+8:], uint32(n*pageSize))
	}
	return b
}

// The bins of a hive are found by walking over each page once, in whatever
// order its cells are asked for.
func TestPagesOfABinAreNotWalkedOverAgainAndAgain(t *testing.T) {
	const pages = 4000
	for name, sizes := range map[string][]int{
		"one bin": {pages}, "bins of a page": slices.Repeat([]int{1}, pages), "bins of all sizes": {1, pages / 2, 7, pages/2 - 9, 1},
	} {
		for _, step := range []int{1, -1, 1777} { // 1777 and 4000 have no common divisor
			b := bins(sizes...)
			limit := budget.New(t.Context(), budget.Limits{Items: 3 * pages, Noun: "pages"})
			h := &Hive{size: int64(len(b) - baseSize), budget: limit, cache: cache{r: bytes.NewReader(b), size: blockSize, kept: blocksKept}}
			for i := range pages {
				page := int64(((i*step)%pages + pages) % pages)
				if step < 0 {
					page = pages - 1 - int64(i)
				}
				got, err := h.binOf(page*pageSize + 40)
				if err != nil || got.start > page*pageSize || got.end <= page*pageSize {
					t.Fatalf("%s, step %d: page %d lies in %+v, %v", name, step, page, got, err)
				}
			}
		}
	}
}
