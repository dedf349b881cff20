#!/bin/bash
# In place of certbot, whose certificates come from outside: checks, as Let's Encrypt would, that the web server shows the
# answer under the domain's name, and issues a certificate that this machine trusts.
set -euo pipefail
while [ $# -gt 0 ]; do
    case $1 in
    --domain) domain=$2; shift ;;
    --webroot-path) webroot=$2; shift ;;
    --email | --deploy-hook) [ -n "$2" ]; shift ;;
    certonly | --non-interactive | --agree-tos | --webroot) ;;
    *) echo "certbot: $1?" >&2; exit 2 ;;
    esac
    shift
done
install -d "$webroot/.well-known/acme-challenge"
echo right >"$webroot/.well-known/acme-challenge/token"
[ "$(curl -sSf "http://$domain/.well-known/acme-challenge/token")" = right ]
folder=/etc/letsencrypt/live/$domain
install -d "$folder"
openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj "/CN=$domain" -addext "subjectAltName=DNS:$domain" \
    -keyout "$folder/privkey.pem" -out "$folder/fullchain.pem" 2>/dev/null
chmod 600 "$folder/privkey.pem"
cp "$folder/fullchain.pem" /usr/local/share/ca-certificates/test.crt
update-ca-certificates >/dev/null
