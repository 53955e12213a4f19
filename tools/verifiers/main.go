// Command verifiers holds a file against a DSSE envelope with code that others wrote:
// the signature with go-securesystemslib, the statement and its predicate with the
// in-toto project's own bindings, which take no field that the schema does not have. It
// is an oracle for internal/evidence.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	testresult "github.com/in-toto/attestation/go/predicates/test_result/v0"
	attestation "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/signerverifier"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: verifiers ENVELOPE PUBLIC-KEY DISK")
		os.Exit(2)
	}
	if err := verify(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

func verify(envelope, key, disk string) error {
	verifier, err := load(key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	content, err := os.ReadFile(envelope)
	if err != nil {
		return err
	}
	var e dsse.Envelope
	if err := json.Unmarshal(content, &e); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	v, err := dsse.NewEnvelopeVerifier(verifier)
	if err != nil {
		return err
	}
	if _, err := v.Verify(context.Background(), &e); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	payload, err := e.DecodeB64Payload()
	if err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	var s attestation.Statement
	if err := protojson.Unmarshal(payload, &s); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("statement: %w", err)
	}
	predicate, err := protojson.Marshal(s.GetPredicate())
	if err != nil {
		return err
	}
	var result testresult.TestResult
	if err := protojson.Unmarshal(predicate, &result); err != nil {
		return fmt.Errorf("predicate: %w", err)
	}
	if result.GetResult() != "PASSED" && result.GetResult() != "WARNED" || len(result.GetPassedTests()) == 0 {
		return fmt.Errorf("predicate: %s, %d passed", result.GetResult(), len(result.GetPassedTests()))
	}
	for _, c := range result.GetConfiguration() {
		if err := c.Validate(); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return subject(&s, disk)
}

// load makes the library's key of a PEM file.
func load(path string) (dsse.Verifier, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := signerverifier.LoadKey(content)
	if err != nil {
		return nil, err
	}
	switch k.KeyType {
	case signerverifier.ECDSAKeyType:
		return signerverifier.NewECDSASignerVerifierFromSSLibKey(k)
	case signerverifier.ED25519KeyType:
		return signerverifier.NewED25519SignerVerifierFromSSLibKey(k)
	}
	return nil, errors.New("only ECDSA and Ed25519: RSA is PSS in this library")
}

// subject is the part that a verifier of signatures leaves to others: is it this file?
func subject(s *attestation.Statement, disk string) error {
	f, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	for _, subject := range s.GetSubject() {
		if subject.GetDigest()["sha256"] != sum {
			continue
		}
		if subject.GetName() != filepath.Base(disk) {
			return fmt.Errorf("name: it is stated of %s", subject.GetName())
		}
		return nil
	}
	return errors.New("digest: no subject has it")
}
