"""The course as a web book: static pages that open offline, made from the files of the project as they stand."""
