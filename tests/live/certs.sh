#!/bin/sh
# certs.sh DIR - makes a throw-away CA and server certificates in DIR, good and bad
# ones, for tests only. For each name NAME.pem (with its chain) and NAME.key:
#
#   localhost     good: DNS localhost          rsa        the same with an RSA key
#   ip            good: IP 127.0.0.1, ::1      chain      good, by an intermediate CA
#   wildcard      good: DNS *.example.test
#   expired       ended in 2021                future     begins in 2098
#   chainexpired  the intermediate CA ended    wronghost  DNS other.example
#   noip          DNS localhost and the text   selfsigned DNS localhost, by nobody
#                 127.0.0.1, no IP SAN         weak       RSA with 1024 bits
#   clientonly    not made for a server        noinner    chain without the intermediate CA
#   sha1          signed with SHA-1            constrained by a CA for other.example only
#   nulname       DNS localhost, a NUL byte,   wildip     DNS *.0.0.1 and 127.0.0.*
#                 .example
#   byleaf        signed by a certificate      oldkey     DNS localhost, keyUsage only
#                 that is no CA                           for signing certificates
#   anyuse        for any use, no special one
#   cnonly        no SAN, only a subject       topwild    DNS *.test
#
#   revoked       on the list crl.pem           client     for clients, client-enc.key is
#                                              its key under the password "secret"
#
# crl.pem is the list of ca.pem, oldcrl.pem one out of date, othercrl.pem one of otherca.
# ca.pem is the CA to trust, otherca.pem one that signed nothing.
set -eu
dir=${1:?usage: certs.sh DIR}
mkdir -p "$dir"
cd "$dir"
command -v openssl >/dev/null || { echo "certs.sh: openssl is not installed" >&2; exit 77; }

cat > ca.cnf <<'END'
[ca]
default_ca = d
[d]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
default_crl_days = 20000
unique_subject = no
policy = any
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
[leaf]
basicConstraints = critical, CA:FALSE
[constrained]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
nameConstraints = critical, permitted;DNS:other.example
[sub]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
END
: > index.txt
echo 1000 > serial
log=certs.log
: > "$log"

run() { openssl "$@" >> "$log" 2>&1 || { cat "$log" >&2; exit 1; }; }
ec() { run ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

root() { # NAME
    ec "$1"
    run req -new -sha256 -key "$1.key" -config ca.cnf -subj "/CN=sandbox.h test $1" -out "$1.csr"
    run ca -batch -notext -config ca.cnf -extensions sub -startdate 20000101000000Z \
        -enddate 21491231235959Z -selfsign -keyfile "$1.key" -in "$1.csr" -out "$1.pem"
}

# NAME CA SECTION SUBJECT-AND-SAN-OPTIONS... ; the validity is in $from and $to
from=20240101000000Z to=20991231235959Z hash=sha256
sign() {
    name=$1 ca=$2 section=$3 subject=$4
    shift 4
    [ -f "$name.key" ] || ec "$name"
    run req -new -sha256 -key "$name.key" -config ca.cnf -subj "/CN=$subject" "$@" -out "$name.csr"
    run ca -batch -notext -config ca.cnf -extensions "$section" -startdate "$from" \
        -enddate "$to" -md "$hash" -cert "$ca.pem" -keyfile "$ca.key" -in "$name.csr" -out "$name.pem"
}
san() { echo "subjectAltName=$1"; }

root ca
root otherca
sign localhost ca leaf localhost -addext "$(san DNS:localhost)"
sign ip ca leaf address -addext "$(san IP:127.0.0.1,IP:::1)"
sign noip ca leaf 127.0.0.1 -addext "$(san DNS:localhost,DNS:127.0.0.1,DNS:::1)"
sign wildcard ca leaf wildcard -addext "$(san 'DNS:*.example.test')"
sign wronghost ca leaf other.example -addext "$(san DNS:other.example)"
sign clientonly ca leaf localhost -addext "$(san DNS:localhost)" \
    -addext "extendedKeyUsage=clientAuth"
sign anyuse ca leaf localhost -addext "$(san DNS:localhost)" \
    -addext "extendedKeyUsage=anyExtendedKeyUsage"
sign cnonly ca leaf localhost
sign topwild ca leaf top -addext "$(san 'DNS:*.test')"
sign client ca leaf client -addext "extendedKeyUsage=clientAuth"
run ec -in client.key -aes128 -passout pass:secret -out client-enc.key
sign revoked ca leaf localhost -addext "$(san DNS:localhost)"
run ca -config ca.cnf -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20210101000000Z \
    -cert ca.pem -keyfile ca.key -out oldcrl.pem
run ca -config ca.cnf -gencrl -cert otherca.pem -keyfile otherca.key -out othercrl.pem
run ca -config ca.cnf -revoke revoked.pem -cert ca.pem -keyfile ca.key
run ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -out crl.pem
run genrsa -out rsa.key 2048
sign rsa ca leaf localhost -addext "$(san DNS:localhost)"
run genrsa -out weak.key 1024
sign weak ca leaf localhost -addext "$(san DNS:localhost)"
sign sub ca sub "sandbox.h test sub"
sign chain sub leaf localhost -addext "$(san DNS:localhost)"
cp chain.pem noinner.pem
cp chain.key noinner.key
cat sub.pem >> chain.pem
sign byleaf localhost leaf localhost -addext "$(san DNS:localhost)"
cat localhost.pem >> byleaf.pem
sign oldkey ca leaf localhost -addext "$(san DNS:localhost)" \
    -addext "keyUsage=critical,keyCertSign"
sign nulname ca leaf nulname \
    -addext "$(san DER:30:14:82:12:6c:6f:63:61:6c:68:6f:73:74:00:2e:65:78:61:6d:70:6c:65)"
sign wildip ca leaf wildip -addext "$(san 'DNS:*.0.0.1,DNS:127.0.0.*,DNS:*')"
sign consub ca constrained "sandbox.h test constrained"
sign constrained consub leaf localhost -addext "$(san DNS:localhost)"
cat consub.pem >> constrained.pem
hash=sha1
sign sha1 ca leaf localhost -addext "$(san DNS:localhost)"
hash=sha256

from=20200101000000Z to=20210101000000Z
sign expired ca leaf localhost -addext "$(san DNS:localhost)"
sign oldsub ca sub "sandbox.h test oldsub"
from=20980101000000Z to=20991231235959Z
sign future ca leaf localhost -addext "$(san DNS:localhost)"
from=20240101000000Z
sign chainexpired oldsub leaf localhost -addext "$(san DNS:localhost)"
cat oldsub.pem >> chainexpired.pem

ec selfsigned
run req -x509 -new -sha256 -key selfsigned.key -config ca.cnf -subj "/CN=localhost" -days 36500 \
    -addext "$(san DNS:localhost)" -out selfsigned.pem
rm -f ./*.csr ./index.txt* ./serial* ./1*.pem ca.cnf "$log"
