"""Settings of nbgrader for a course made of this book's problem sets."""

c = get_config()  # noqa: F821 (nbgrader provides it)

c.CourseDirectory.course_id = "neural_tangent_kernel"
c.Execute.timeout = 120  # seconds for one cell; then it is stopped and fails
c.OverwriteCells.add_missing_cells = True  # a test that was deleted runs all the same
