#!/bin/bash
# Test, build and publish an npm package from CI
set -euo pipefail

: "${NPM_TOKEN:?Set NPM_TOKEN to a token that may publish}"

if [[ ! -f package.json ]]; then
  echo "Error: no package.json in $PWD" >&2
  exit 1
fi

name=$(jq -r .name package.json)
version=$(jq -r .version package.json)

if [[ $(npm view "$name@$version" version 2>/dev/null) == "$version" ]]; then
  echo "$name@$version is already published"
  exit 0
fi

# A tagged build has to publish the version of its tag.
tag=$(git describe --tags --exact-match 2>/dev/null || true)
if [[ -n $tag && $tag != "v$version" ]]; then
  echo "Error: tag $tag, but package.json says $version" >&2
  exit 1
fi

npm_config=$(mktemp)
trap 'rm -f "$npm_config"' EXIT
registry=$(npm config get registry)
# npm itself puts the token in, so it is not written to disk.
echo "${registry#*:}:_authToken=\${NPM_TOKEN}" >"$npm_config"
export NPM_CONFIG_USERCONFIG=$npm_config NPM_TOKEN

npm ci
npm test
npm run build --if-present
npm pack --dry-run

channel=latest
[[ $version == *-* ]] && channel=next
npm publish --access public --tag "$channel"
echo "Published $name@$version as $channel"
