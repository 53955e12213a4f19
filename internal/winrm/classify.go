package winrm

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
)

// networkKind names a failure of the network; deadline is what it is when the
// time was up.
func networkKind(err, deadline error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return deadline
	case isRefused(err):
		return ErrRefused
	case isReset(err):
		return ErrReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ErrEOF
	}
	return ErrConnection
}

// tlsKind names a failure of the TLS handshake. What is no matter of
// certificates may be one of the network.
func tlsKind(err error) error {
	var (
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		pin       *pinError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &pin):
		return ErrWrongPin
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ErrCertificateExpired
	case errors.As(err, &authority):
		return ErrUnknownAuthority
	case errors.As(err, &name):
		return ErrWrongName
	case errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &verify), isAlert(err):
		return ErrTLS
	}
	if k := networkKind(err, ErrConnectDeadline); !errors.Is(k, ErrConnection) || errors.Is(k, ErrReset) || errors.Is(k, ErrEOF) {
		return k
	}
	return ErrTLS
}

// isAlert says whether one side broke TLS off. With TLS 1.3 the service's word on
// a client certificate comes only with its first answer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// headKind names why no head of an answer could be read.
func headKind(err error) error {
	if isAlert(err) {
		return ErrTLS
	}
	k := networkKind(err, ErrHeaderDeadline)
	var op *net.OpError
	if k == ErrConnection && !errors.As(err, &op) { //nolint:errorlint // that and none of its kinds
		return ErrNotWinRM // what came is not HTTP
	}
	return k
}
