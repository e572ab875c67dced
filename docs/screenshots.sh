#!/bin/sh
# docs/screenshots.sh [REPORT.html]: makes the pictures in this folder anew, from a report of this machine (`tessera report` is run where none
# is given) in headless Chromium: desktop and phone width, light and dark.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
report=${1:-}
if [ -z "$report" ]; then
    report=$work/report.html
    build/bin/tessera report --out "$report"
fi
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "screenshots: there is no Chromium here; install the package chromium" >&2
    exit 1
}

# shoot NAME WIDTH HEIGHT TOP [light|dark]: the page from TOP pixels on, as wide as a screen of WIDTH. Headless windows are at least 500 pixels
# wide, so the page lies in a frame of the wanted width, and dark is asked for by a copy whose light colours are taken out.
shoot() {
    cp "$report" "$work/page.html"
    [ "${5:-light}" = light ] ||
        sed -i 's|@media(prefers-color-scheme:dark)|@media all|' "$work/page.html"
    cat >"$work/frame.html" <<END
<!DOCTYPE html><html><body style="margin:0;overflow:hidden"><iframe src="page.html"
style="border:0;width:${2}px;height:$(($3 + $4))px;position:absolute;top:-${4}px"></iframe></body></html>
END
    "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$2,$3" \
        --screenshot="$PWD/docs/$1.png" "file://$work/frame.html" >/dev/null 2>&1
    [ -s "docs/$1.png" ] || { echo "screenshots: docs/$1.png was not made" >&2; exit 1; }
}

shoot report-desktop 1200 1500 0
shoot report-layers 1200 1200 2480
shoot report-dark 1200 900 1160 dark
# Where Chromium's windows cannot be this narrow, the picture is wider than the page.
shoot report-phone 390 1800 1900
