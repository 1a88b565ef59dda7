# recipes - writes the recipes of README.md, between "<!-- recipe NAME -->" and
# "<!-- /recipe -->", to out/NAME/: a block of code whose first line is "# FILE" to
# that file, the blocks of sh one after the other to recipe.sh. Prints the names.
# Usage: awk -v out=DIR -f recipes.awk README.md
/^<!-- recipe / { name = $3; system("mkdir -p '" out "/" name "'"); print name; next }
/^<!-- \/recipe / { name = ""; next }
name == "" { next }
/^```/ {
    if (inside) { inside = 0; file = ""; next }
    inside = 1
    file = $0 == "```sh" ? out "/" name "/recipe.sh" : ""
    next
}
inside && file == "" { file = out "/" name "/" $2 }
inside { print >file }
