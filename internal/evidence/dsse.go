package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

const (
	payloadType = "application/vnd.in-toto+json"
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// pae is what is signed: the pre-authentication encoding of DSSE.
func pae(kind string, body []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(kind), kind, len(body)), body...)
}

// The field names are those of the two formats. A signature is in base64, as is the
// payload.
type (
	signature struct {
		Sig string `json:"sig"`
	}
	envelope struct {
		PayloadType string      `json:"payloadType"`
		Payload     string      `json:"payload"`
		Signatures  []signature `json:"signatures"`
	}
	bundle struct {
		MediaType    string       `json:"mediaType"`
		Verification verification `json:"verificationMaterial"`
		Envelope     envelope     `json:"dsseEnvelope"`
	}
	verification struct {
		PublicKey hint `json:"publicKey"`
	}
	hint struct {
		Hint string `json:"hint"`
	}
)

// sign signs a statement, in both shapes that verifiers ask for: the envelope of DSSE,
// and the bundle of Sigstore around it. The envelope has no id of the key: verifiers that
// make ids in another way would pass over the signature (go-securesystemslib).
func sign(statement []byte, k *Key) (plain, bundled []byte, err error) {
	sig, err := k.sign(pae(payloadType, statement))
	if err != nil {
		return nil, nil, fmt.Errorf("signing the statement with the key %s: %w", k.path, err)
	}
	encode := base64.StdEncoding.EncodeToString
	e := envelope{PayloadType: payloadType, Payload: encode(statement), Signatures: []signature{{encode(sig)}}}
	b := bundle{MediaType: bundleType, Verification: verification{hint{k.ID()}}, Envelope: e}
	if plain, err = line(e); err == nil {
		bundled, err = line(b)
	}
	return plain, bundled, err
}

func line(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
