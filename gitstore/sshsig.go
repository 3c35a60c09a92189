package gitstore

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// Keys and signatures of logs have OpenSSH's forms, so that ssh-keygen and `git verify-commit`
// know them: ed25519 alone, which is this page. The ssh package of golang.org/x/crypto
// does the same and costs every start of a program that links it 0.4 ms, twice with every
// commit of the user's, where crypto/ed25519 costs 0.03.
const (
	keyType       = "ssh-ed25519"
	sigNamespace  = "git" // what git asks for
	sigHash       = "sha512"
	sigMagic      = "SSHSIG"
	sigArmor      = "SSH SIGNATURE"
	privateMagic  = "openssh-key-v1\x00"
	privateArmor  = "OPENSSH PRIVATE KEY"
	privateBlocks = 8 // what the secret part is filled up to
)

// wire appends fields as SSH writes them: each behind its length.
func wire(b []byte, fields ...string) []byte {
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	return b
}

// unwire takes the first n fields off b.
func unwire(b string, n int) (fields []string, rest string, ok bool) {
	for range n {
		if len(b) < 4 {
			return nil, "", false
		}
		size := binary.BigEndian.Uint32([]byte(b[:4]))
		if b = b[4:]; uint64(size) > uint64(len(b)) {
			return nil, "", false
		}
		fields, b = append(fields, b[:size]), b[size:]
	}
	return fields, b, true
}

// armor writes data as text, in lines as long as OpenSSH's.
func armor(kind string, data []byte) string {
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "-----\n")
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 0 {
		n := min(70, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END " + kind + "-----\n")
	return b.String()
}

// dearmor reads what armor wrote and nothing else.
func dearmor(kind, text string) (data []byte, ok bool) {
	body, ok := strings.CutPrefix(text, "-----BEGIN "+kind+"-----\n")
	body, end := strings.CutSuffix(body, "-----END "+kind+"-----\n")
	data, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\n", ""))
	return data, ok && end && err == nil && armor(kind, data) == text
}

// keyBlob is a public key as it stands in keys, signatures and lists.
func keyBlob(key ed25519.PublicKey) string { return string(wire(nil, keyType, string(key))) }

// formatKey writes a public key as it stands in headers and in lists of allowed signers.
func formatKey(key ed25519.PublicKey) string {
	return keyType + " " + base64.StdEncoding.EncodeToString([]byte(keyBlob(key)))
}

// parseKey reads what formatKey wrote.
func parseKey(s string) (ed25519.PublicKey, bool) {
	_, text, _ := strings.Cut(s, " ")
	blob, err := base64.StdEncoding.DecodeString(text)
	f, _, ok := unwire(string(blob), 2)
	if err != nil || !ok || len(f[1]) != ed25519.PublicKeySize {
		return nil, false
	}
	key := ed25519.PublicKey(f[1])
	return key, formatKey(key) == s
}

// formatPrivate writes a private key as a file of OpenSSH's without a passphrase.
func formatPrivate(key ed25519.PrivateKey, comment string) []byte {
	public := key.Public().(ed25519.PublicKey)
	check := string(public[:4]) // twice the same, to tell a wrong passphrase by
	secret := wire([]byte(check+check), keyType, string(public), string(key), comment)
	for i := byte(1); len(secret)%privateBlocks != 0; i++ {
		secret = append(secret, i)
	}
	b := wire([]byte(privateMagic), "none", "none", "")
	b = binary.BigEndian.AppendUint32(b, 1)
	return []byte(armor(privateArmor, wire(b, keyBlob(public), string(secret))))
}

// parsePrivate reads such a file, whoever has written it.
func parsePrivate(data []byte) (ed25519.PrivateKey, bool) {
	b, armored := dearmor(privateArmor, string(data))
	text, magic := strings.CutPrefix(string(b), privateMagic)
	head, text, ok := unwire(text, 3)
	if !armored || !magic || !ok || head[0] != "none" || len(text) < 4 || binary.BigEndian.Uint32([]byte(text)) != 1 {
		return nil, false
	}
	parts, text, ok := unwire(text[4:], 2)
	if !ok || text != "" || len(parts[1]) < 8 || parts[1][:4] != parts[1][4:8] {
		return nil, false
	}
	f, _, ok := unwire(parts[1][8:], 4)
	if !ok || f[0] != keyType || len(f[2]) != ed25519.PrivateKeySize {
		return nil, false
	}
	key := ed25519.NewKeyFromSeed([]byte(f[2][:ed25519.SeedSize]))
	return key, string(key) == f[2] && keyBlob(key.Public().(ed25519.PublicKey)) == parts[0]
}

// toSign is what the key signs of a message.
func toSign(message []byte) []byte {
	sum := sha512.Sum512(message)
	return wire([]byte(sigMagic), sigNamespace, "", sigHash, string(sum[:]))
}

// encodeSignature writes a signature as text.
func encodeSignature(key ed25519.PublicKey, signature []byte) string {
	b := binary.BigEndian.AppendUint32([]byte(sigMagic), 1)
	return armor(sigArmor, wire(b, keyBlob(key), sigNamespace, "", sigHash, string(wire(nil, keyType, string(signature)))))
}

// decodeSignature reads what encodeSignature wrote and nothing else: one signature has one
// encoding.
func decodeSignature(text string) (key ed25519.PublicKey, signature []byte, ok bool) {
	b, ok := dearmor(sigArmor, text)
	head := sigMagic + "\x00\x00\x00\x01"
	if !ok || !strings.HasPrefix(string(b), head) {
		return nil, nil, false
	}
	f, _, ok := unwire(string(b[len(head):]), 5)
	if !ok {
		return nil, nil, false
	}
	k, _, ok := unwire(f[0], 2)
	sig, _, sok := unwire(f[4], 2)
	if !ok || !sok || len(k[1]) != ed25519.PublicKeySize || len(sig[1]) != ed25519.SignatureSize {
		return nil, nil, false
	}
	key, signature = ed25519.PublicKey(k[1]), []byte(sig[1])
	return key, signature, encodeSignature(key, signature) == text
}

const sigHeader = "gpgsig "

// signCommit puts a signature into a commit object, where git has it.
func signCommit(data []byte, key ed25519.PrivateKey) []byte {
	sig := encodeSignature(key.Public().(ed25519.PublicKey), ed25519.Sign(key, toSign(data)))
	at := bytes.Index(data, []byte("\n\n")) + 1
	out := append([]byte{}, data[:at]...)
	out = append(out, sigHeader+strings.ReplaceAll(strings.TrimSuffix(sig, "\n"), "\n", "\n ")+"\n"...)
	return append(out, data[at:]...)
}

// splitCommit takes the signature out of a commit object, "" if it has none: what is left is
// what was signed.
func splitCommit(data []byte) (signed []byte, sig string) {
	head, rest, _ := bytes.Cut(data, []byte("\n\n"))
	inside := false
	for line := range strings.SplitSeq(string(head), "\n") {
		switch {
		case sig == "" && strings.HasPrefix(line, sigHeader):
			inside = true
			sig = line[len(sigHeader):] + "\n"
		case inside && strings.HasPrefix(line, " "):
			sig += line[1:] + "\n"
		default:
			inside = false
			signed = append(append(signed, line...), '\n')
		}
	}
	return append(append(signed, '\n'), rest...), sig
}

// signerOf returns the key that a commit object is signed with, "" if it is not, or wrongly.
func signerOf(data []byte) string {
	signed, sig := splitCommit(data)
	key, signature, ok := decodeSignature(sig)
	if !ok || !ed25519.Verify(key, toSign(signed), signature) {
		return ""
	}
	return formatKey(key)
}
