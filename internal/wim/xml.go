package wim

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
)

// Image is what the WIM says of its image.
type Image struct {
	Name, Description string
	Windows           *Windows // nil where there is none
}

// Windows is what Microsoft's programs show of an installation. What is empty is left out.
type Windows struct {
	// Architecture is amd64, x86, arm or arm64.
	Architecture                                 string
	ProductName, EditionID, InstallationType     string
	ProductType, ProductSuite, SystemRoot        string
	Languages                                    []string
	DefaultLanguage                              string
	Major, Minor, Build, ServicePack, SPRevision uint32
}

// architectures are the numbers of SYSTEM_INFO.wProcessorArchitecture.
var architectures = map[string]int{"x86": 0, "arm": 5, "amd64": 9, "arm64": 12}

// xml is the text of a WIM whose resources end at total.
func (i Image) xml(r Result, total int64, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<WIM><TOTALBYTES>%d</TOTALBYTES><IMAGE INDEX=\"1\">", total)
	for _, e := range []struct {
		name  string
		value int64
	}{{"DIRCOUNT", int64(r.Folders) + 1}, {"FILECOUNT", int64(r.Files)}, {"TOTALBYTES", r.Content}, {"HARDLINKBYTES", r.Shared}} {
		fmt.Fprintf(&b, "<%s>%d</%s>", e.name, e.value, e.name)
	}
	ticks := uint64(now.UnixNano()/100) + 116444736000000000
	for _, name := range []string{"CREATIONTIME", "LASTMODIFICATIONTIME"} {
		fmt.Fprintf(&b, "<%s><HIGHPART>0x%08X</HIGHPART><LOWPART>0x%08X</LOWPART></%s>", name, ticks>>32, ticks&0xffffffff, name)
	}
	if i.Windows != nil {
		i.Windows.xml(&b)
	}
	element(&b, "NAME", i.Name)
	element(&b, "DESCRIPTION", i.Description)
	if i.Windows != nil { // what Setup shows
		element(&b, "FLAGS", i.Windows.EditionID)
		element(&b, "DISPLAYNAME", i.Name)
		element(&b, "DISPLAYDESCRIPTION", cmp.Or(i.Description, i.Name))
	}
	b.WriteString("</IMAGE></WIM>")
	return b.String()
}

func (w *Windows) xml(b *strings.Builder) {
	b.WriteString("<WINDOWS>")
	if n, ok := architectures[w.Architecture]; ok {
		fmt.Fprintf(b, "<ARCH>%d</ARCH>", n)
	}
	element(b, "PRODUCTNAME", w.ProductName)
	element(b, "EDITIONID", w.EditionID)
	element(b, "INSTALLATIONTYPE", w.InstallationType)
	element(b, "PRODUCTTYPE", w.ProductType)
	element(b, "PRODUCTSUITE", w.ProductSuite)
	if len(w.Languages) > 0 {
		b.WriteString("<LANGUAGES>")
		for _, l := range w.Languages {
			element(b, "LANGUAGE", l)
		}
		element(b, "DEFAULT", w.DefaultLanguage)
		b.WriteString("</LANGUAGES>")
	}
	if w.Build != 0 {
		fmt.Fprintf(b, "<VERSION><MAJOR>%d</MAJOR><MINOR>%d</MINOR><BUILD>%d</BUILD><SPBUILD>%d</SPBUILD><SPLEVEL>%d</SPLEVEL></VERSION>",
			w.Major, w.Minor, w.Build, w.SPRevision, w.ServicePack)
	}
	element(b, "SYSTEMROOT", w.SystemRoot)
	b.WriteString("</WINDOWS>")
}

// element writes what is not empty; what XML does not allow is replaced.
func element(b *strings.Builder, name, value string) {
	if value == "" {
		return
	}
	var text bytes.Buffer
	_ = xml.EscapeText(&text, []byte(value)) // a buffer takes it all
	fmt.Fprintf(b, "<%s>%s</%s>", name, text.String(), name)
}
